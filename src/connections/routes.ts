import type { IncomingMessage } from 'node:http';
import type { Logger } from '../logger.ts';
import { escapeHtml, page } from '../server/page.ts';
import { foreseen, type Reply, type Route } from '../server/reply.ts';
import type { AuthorizationFlows } from './authorization-flows.ts';
import type { FlowOutcome } from './flow-outcome.ts';
import { flowLifetimeMs } from './stored-flows.ts';
import { problems } from './problem.ts';
import { missingScopes } from './scopes.ts';

/** Each flow has a cookie of its own, named after its first characters: two flows in one browser don't meet. */
const cookiePrefix = 'omnera_oauth_';
const cookieNameLength = 8;
const cookiePath = '/oauth/calendly';
/** Cookies of flows that are looked at; an open flow ends after ten minutes. */
const maxCookies = 20;

/** `/oauth/calendly/start/{token}` and `/oauth/calendly/callback`: the two stops of a browser in a flow. */
export function oauthRoutes(
  flows: AuthorizationFlows,
  publicUrl: string,
  logger: Logger,
): Map<string, Route> {
  const secure = publicUrl.startsWith('https:') ? '; Secure' : '';
  const cookie = (value: string) =>
    `${cookiePrefix}${value.slice(0, cookieNameLength)}=${value}; Path=${cookiePath}; HttpOnly; SameSite=Lax; Max-Age=${flowLifetimeMs / 1_000}${secure}`;

  const start: Route = async (_request, url) => {
    const { location, browserCookie } = await flows.open(
      url.pathname.slice(url.pathname.lastIndexOf('/') + 1),
    );
    return {
      status: 303,
      headers: {
        Location: location,
        'Set-Cookie': cookie(browserCookie),
        'Cache-Control': 'no-store',
        'Referrer-Policy': 'no-referrer',
      },
    };
  };

  const callback: Route = async (request, url) => {
    const { searchParams } = url;
    return outcomePage(
      await flows.finish({
        state: searchParams.get('state'),
        code: searchParams.get('code'),
        error: searchParams.get('error'),
        issuer: searchParams.get('iss'),
        browserCookies: cookiesOf(request),
      }),
    );
  };

  return new Map([
    ['GET /oauth/calendly/start/*', withErrorPage(start, logger)],
    ['GET /oauth/calendly/callback', withErrorPage(callback, logger)],
  ]);
}

/** A person in a browser gets a page, whatever happens. */
function withErrorPage(route: Route, logger: Logger): Route {
  return async (request, url, requestId) => {
    try {
      return await route(request, url, requestId);
    } catch (error) {
      const shown = foreseen(error, requestId, logger);
      return page(shown?.httpStatus ?? 500, {
        title: shown?.code === 'FLOW_NOT_FOUND' ? 'This link does not work' : 'That did not work',
        mark: { symbol: '!', tone: 'bad' },
        body: `<p>${escapeHtml(shown?.message ?? 'Something went wrong on our side. Ask for a new link with connectConnection and try again.')}</p>
<p class="soft">Request <code>${escapeHtml(requestId)}</code></p>`,
      });
    }
  };
}

function cookiesOf(request: IncomingMessage): string[] {
  const values: string[] = [];
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const [name = '', value] = pair.trim().split('=');
    if (name.startsWith(cookiePrefix) && value && values.length < maxCookies) values.push(value);
  }
  return values;
}

const refusals = {
  UNKNOWN_STATE:
    'This answer belongs to no open authorization: it was used already, is older than ten minutes, or did not start here.',
  OTHER_BROWSER:
    'The authorization was started in another browser. Open the link in the browser in which you grant access.',
  STARTER_GONE:
    'The API key or token with which this authorization began is no longer valid or may not do this any more.',
  WRONG_ISSUER: 'The answer was issued by somebody other than the configured service.',
} as const;

function outcomePage(outcome: FlowOutcome): Reply {
  switch (outcome.kind) {
    case 'connected': {
      const { connection, startedBy, redirectTo } = outcome;
      const missing = missingScopes(connection.requestedScopes, connection.grantedScopes);
      return page(200, {
        title: 'Connected',
        mark: { symbol: '✓', tone: 'good' },
        body: `<p><strong>${escapeHtml(connection.name)}</strong> may now use Calendly. You can close this window.</p>
<dl><dt>Account</dt><dd>${escapeHtml(connection.accountEmail ?? connection.accountId ?? 'not told')}</dd>
<dt>Granted</dt><dd>${connection.grantedScopes.map((scope) => `<code>${escapeHtml(scope)}</code>`).join('<br>')}</dd>
${missing.length > 0 ? `<dt>Missing</dt><dd>${missing.map((scope) => `<code>${escapeHtml(scope)}</code>`).join('<br>')}</dd>` : ''}
<dt>Started by</dt><dd>${escapeHtml(startedBy)}</dd></dl>${backLink(redirectTo)}`,
      });
    }
    case 'failed': {
      const { connection, problem, stillConnected, startedBy, redirectTo } = outcome;
      return page(400, {
        title: 'Not connected',
        mark: { symbol: '!', tone: 'bad' },
        body: `<p>${escapeHtml(problems[problem])}</p>
${stillConnected ? '<p>The access that was granted before goes on.</p>' : ''}
<dl><dt>Connection</dt><dd>${escapeHtml(connection.name)}</dd><dt>Problem</dt><dd><code>${problem}</code></dd><dt>Started by</dt><dd>${escapeHtml(startedBy)}</dd></dl>${backLink(redirectTo)}`,
      });
    }
    case 'superseded':
      return page(409, {
        title: 'Overtaken',
        mark: { symbol: '!', tone: 'bad' },
        body: '<p>Since this authorization began, the connection was authorised again, disconnected or changed. This answer was not used.</p><p class="soft"><code>FLOW_SUPERSEDED</code></p>',
      });
    case 'refused':
      return page(400, {
        title: 'Not accepted',
        mark: { symbol: '!', tone: 'bad' },
        body: `<p>${refusals[outcome.reason]}</p><p>Nothing was changed. Ask for a new link with <code>connectConnection</code>.</p><p class="soft"><code>${outcome.reason}</code></p>`,
      });
  }
}

function backLink(redirectTo: string | null): string {
  return redirectTo === null
    ? ''
    : `<a class="button" href="${escapeHtml(redirectTo)}" rel="noreferrer">Back</a>`;
}
