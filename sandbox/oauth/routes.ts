import { notPermittedOrNotFound } from '../api-error.ts';
import type { SandboxContext } from '../context.ts';
import type { Reply, SandboxRequest } from '../http/message.ts';
import type { Router } from '../http/router.ts';
import { AuthorizationCodes } from './authorization-codes.ts';
import { authorizeRoutes } from './authorize-routes.ts';
import { PERSONAL_CLIENT_ID } from './grants.ts';
import { tokenRoutes } from './token-routes.ts';

/** OAuth pages and endpoints, and whoami. */
export function oauthRoutes(router: Router, context: SandboxContext): void {
  const codes = new AuthorizationCodes(context.state, context.clock, context.settings);
  authorizeRoutes(router, context, codes);
  tokenRoutes(router, context, codes);
  router.add('GET', '/v0/meta/whoami', {
    endpoint: 'whoami',
    scopes: [],
    handler: (request) => whoami(request, context),
  });
}

/** The e-mail address needs its scope; scopes are told for OAuth tokens only, not for personal ones. */
function whoami({ grant }: SandboxRequest, { users, settings }: SandboxContext): Reply {
  const user = users.get(grant.userId);
  const mayReadEmail = grant.scopes.includes('user.email:read');
  if (!user || (!settings.switches.whoamiNeedsNoScope && !mayReadEmail)) throw notPermittedOrNotFound();
  return {
    status: 200,
    json: {
      id: user.id,
      ...(mayReadEmail && { email: user.email }),
      ...(grant.clientId !== PERSONAL_CLIENT_ID && { scopes: grant.scopes }),
    },
  };
}
