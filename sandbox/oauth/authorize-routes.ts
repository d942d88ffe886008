import type { BaseDoc } from '../bases/documents.ts';
import type { SandboxContext } from '../context.ts';
import type { Reply, SandboxRequest } from '../http/message.ts';
import type { Router } from '../http/router.ts';
import type { AuthorizationCodes, PendingRequest } from './authorization-codes.ts';
import { findRedirectTarget, readAuthorizationRequest } from './authorization-request.ts';
import { findClient } from './clients.ts';
import { authorizationErrorPage, consentPage } from './consent-page.ts';
import type { Grant } from './grant.ts';
import { OAuthError } from './oauth-error.ts';
import { withParameters } from './redirect-uri.ts';

const NO_TARGET =
  'The app that sent you here is not known, or it asked to be called back at an address that is not registered for it.';
const STALE = 'This page is too old or was answered already.';

/** `GET` and `POST /oauth2/v1/authorize`: the consent page and its form. */
export function authorizeRoutes(router: Router, context: SandboxContext, codes: AuthorizationCodes): void {
  router.add('GET', '/oauth2/v1/authorize', {
    endpoint: 'authorize',
    handler: (request) => showConsent(request, context, codes),
  });
  router.add('POST', '/oauth2/v1/authorize', {
    endpoint: 'decideAuthorization',
    handler: (request) => decide(request, context, codes),
  });
}

function showConsent({ query }: SandboxRequest, context: SandboxContext, codes: AuthorizationCodes): Reply {
  const target = findRedirectTarget(query);
  if (!target) return authorizationErrorPage(NO_TARGET);
  try {
    const request = readAuthorizationRequest(query, target);
    context.grants.issued.record('codeChallenge', request.codeChallenge);
    const ticket = codes.ask(request);
    return page(ticket, { request, requestedAt: context.clock.now() }, context);
  } catch (error) {
    if (error instanceof OAuthError) return errorRedirect(target.redirectUri, error, target.state);
    throw error;
  }
}

function decide(request: SandboxRequest, context: SandboxContext, codes: AuthorizationCodes): Reply {
  const form = request.form();
  const ticket = form.get('ticket') ?? '';
  const pending = codes.pending(ticket);
  if (!pending) return authorizationErrorPage(STALE);
  const { redirectUri, state, codeChallenge } = pending.request;
  if (form.get('decision') !== 'grant') {
    codes.close(ticket);
    return errorRedirect(redirectUri, new OAuthError('access_denied', 'The user denied access'), state);
  }
  const userId = form.get('user') ?? context.users.list()[0]?.id ?? '';
  const baseIds = chosenBases(form, context);
  if (!context.users.get(userId)) return page(ticket, pending, context, 'Choose who you are.');
  if (!baseIds) return page(ticket, pending, context, 'Choose at least one base.');
  codes.close(ticket);
  const code = codes.issue(pending, userId, baseIds);
  context.grants.issued.record('authorizationCode', code);
  const challenge: Record<string, string> = context.settings.switches.challengeInRedirect
    ? { code_challenge: codeChallenge, code_challenge_method: 'S256' }
    : {};
  return redirect(withParameters(redirectUri, { code, state, ...challenge }));
}

/** Null if nothing, or something unknown, was chosen. */
function chosenBases(form: URLSearchParams, { state }: SandboxContext): Grant['baseIds'] | null {
  const chosen = [...new Set(form.getAll('bases'))];
  if (chosen.includes('all')) return 'all';
  const bases = state.collection<BaseDoc>('bases');
  return chosen.length > 0 && chosen.every((baseId) => bases.get(baseId)) ? chosen : null;
}

function page(ticket: string, { request }: PendingRequest, context: SandboxContext, notice?: string): Reply {
  const client = findClient(request.clientId);
  if (!client) return authorizationErrorPage(NO_TARGET);
  const { scopes, redirectUri } = request;
  const bases = [...context.state.collection<BaseDoc>('bases').values()];
  return consentPage({ ticket, client, scopes, redirectUri, users: context.users.list(), bases, notice });
}

function errorRedirect(redirectUri: string, error: OAuthError, state: string | null): Reply {
  const parameters = { error: error.code, error_description: error.description };
  return redirect(withParameters(redirectUri, { ...parameters, ...(state !== null && { state }) }));
}

function redirect(location: string): Reply {
  return {
    status: 302,
    headers: { location, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' },
  };
}
