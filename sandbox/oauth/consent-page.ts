import type { BaseDoc } from '../bases/documents.ts';
import { escapeHtml, htmlPage } from '../http/html.ts';
import type { Reply } from '../http/message.ts';
import type { OAuthClient } from './clients.ts';
import type { User } from './grant.ts';
import { SCOPE_MEANINGS } from './scopes.ts';

export interface Consent {
  ticket: string;
  client: OAuthClient;
  scopes: string[];
  redirectUri: string;
  users: User[];
  bases: BaseDoc[];
  /** Why the page is shown again. */
  notice?: string;
}

/**
 * Asks a user for consent. A plain form: POST to the same path with `ticket`, `user`, `bases` (repeated; `all` for every
 * base there is and will be) and `decision` (`grant` or `deny`).
 */
export function consentPage(consent: Consent): Reply {
  const { ticket, client, scopes, redirectUri, users, bases, notice } = consent;
  const name = escapeHtml(client.name);
  return htmlPage({
    title: `Allow ${client.name}?`,
    status: notice === undefined ? 200 : 422,
    formAction: `'self' ${redirectSources(redirectUri)}`,
    body: `<h1>${name} would like to use your bases</h1>
<p>Choose what it may reach. You can take this back at any time.</p>
${notice === undefined ? '' : `<p class="notice" role="alert">${escapeHtml(notice)}</p>`}
<form method="post" action="/oauth2/v1/authorize">
<input type="hidden" name="ticket" value="${escapeHtml(ticket)}">
<section aria-labelledby="scopes"><h2 id="scopes">${name} will be able to</h2><ul>${scopes.map(scopeItem).join('')}</ul></section>
<fieldset><legend>In these bases</legend><div>${bases.map(baseChoice).join('')}${allBasesChoice()}</div></fieldset>
<fieldset><legend>Signed in as</legend><div>${users.map(userChoice).join('')}</div></fieldset>
<div class="actions"><button class="primary" name="decision" value="grant">Grant access</button><button name="decision" value="deny" formnovalidate>Deny</button></div>
</form>
<p class="small">Afterwards you go back to <code>${escapeHtml(new URL(redirectUri).origin)}</code>. Client <code>${escapeHtml(client.id)}</code>.</p>`,
  });
}

/** Told to the user, who is not sent anywhere. */
export function authorizationErrorPage(message: string): Reply {
  return htmlPage({
    title: 'This link does not work',
    status: 400,
    body: `<h1>This link does not work</h1><p class="notice" role="alert">${escapeHtml(message)}</p>
<p>Nothing was granted, and you were not sent on. Go back to the app and start again from there.</p>`,
  });
}

function scopeItem(scope: string): string {
  return `<li><span>${escapeHtml(SCOPE_MEANINGS[scope] ?? scope)}<br><code>${escapeHtml(scope)}</code></span></li>`;
}

function baseChoice(base: BaseDoc): string {
  const id = escapeHtml(base.id);
  return (
    `<label class="choice"><input type="checkbox" name="bases" value="${id}" checked>` +
    `<span><b>${escapeHtml(base.name)}</b><code>${id}</code></span></label>`
  );
}

function allBasesChoice(): string {
  return (
    `<label class="choice"><input type="checkbox" name="bases" value="all">` +
    `<span><b>All bases, also those to come</b></span></label>`
  );
}

function userChoice(user: User, index: number): string {
  return (
    `<label class="choice"><input type="radio" name="user" value="${escapeHtml(user.id)}"${index === 0 ? ' checked' : ''}>` +
    `<span><b>${escapeHtml(user.name)}</b><code>${escapeHtml(user.email)}</code></span></label>`
  );
}

/**
 * Browsers apply form-action to every redirect that follows the form, so the app's callback and a further local hop
 * behind it have to be named. CSP has no spelling for an IPv6 host; then the scheme stands in.
 */
function redirectSources(redirectUri: string): string {
  const { protocol, origin, hostname } = new URL(redirectUri);
  const target = hostname.startsWith('[') ? protocol : origin;
  return `${target} http://localhost:* http://127.0.0.1:*`;
}
