import { notFound } from '../api-error.ts';
import type { SandboxContext } from '../context.ts';
import type { Handler, Reply, SandboxRequest } from '../http/message.ts';
import type { Router } from '../http/router.ts';
import { s256, type AuthorizationCodes } from './authorization-codes.ts';
import { authenticateClient } from './client-authentication.ts';
import type { OAuthClient } from './clients.ts';
import type { TokenPair } from './grants.ts';
import { OAuthError } from './oauth-error.ts';

/** The documented alphabet, without the `~` that RFC 7636 allows. */
const CODE_VERIFIER = /^[A-Za-z0-9._-]{43,128}$/;
const SINGLE_PARAMETERS = [
  'grant_type',
  'code',
  'redirect_uri',
  'code_verifier',
  'client_id',
  'refresh_token',
  'scope',
  'token',
];

/** `POST /oauth2/v1/token` and `/oauth2/v1/revoke`, for servers only: no CORS headers. */
export function tokenRoutes(router: Router, context: SandboxContext, codes: AuthorizationCodes): void {
  router.add('POST', '/oauth2/v1/token', {
    endpoint: 'token',
    handler: withOAuthErrors(context, (request) => {
      const form = readForm(request);
      // A code is used up by being presented, even if the request fails for another reason.
      const issued = codes.redeem(form.get('code') ?? '');
      const verifier = form.get('code_verifier');
      if (verifier) context.grants.issued.record('codeVerifier', verifier);
      refuseRepeated(form);
      const client = authenticateClient(request.headers.authorization, form);
      switch (form.get('grant_type')) {
        case 'authorization_code':
          return tokenReply(exchangeCode(form, client, issued, context), context);
        case 'refresh_token':
          return tokenReply(refresh(form, client, context), context);
        case null:
          throw new OAuthError('invalid_request', 'grant_type is missing');
        default:
          throw new OAuthError(
            'unsupported_grant_type',
            'grant_type must be "authorization_code" or "refresh_token"',
          );
      }
    }),
  });
  router.add('POST', '/oauth2/v1/revoke', {
    endpoint: 'revoke',
    handler: withOAuthErrors(context, (request) => {
      if (!context.settings.switches.revokeEndpoint) throw notFound();
      const form = readForm(request);
      refuseRepeated(form);
      const client = authenticateClient(request.headers.authorization, form);
      context.grants.revokeToken(required(form, 'token'), client.id);
      // RFC 7009: an unknown token is no error, the caller's aim is reached.
      return { status: 200 };
    }),
  });
}

function exchangeCode(
  form: URLSearchParams,
  client: OAuthClient,
  issued: ReturnType<AuthorizationCodes['redeem']>,
  { grants }: SandboxContext,
): TokenPair {
  required(form, 'code');
  const redirectUri = required(form, 'redirect_uri');
  const verifier = required(form, 'code_verifier');
  if (!CODE_VERIFIER.test(verifier)) {
    throw new OAuthError(
      'invalid_request',
      'code_verifier must be 43 to 128 characters of A-Z a-z 0-9 . - _',
    );
  }
  if (!issued) throw new OAuthError('invalid_grant', 'The code is unknown, expired or used');
  const { request, userId, baseIds } = issued;
  if (request.clientId !== client.id)
    throw new OAuthError('invalid_grant', 'The code belongs to another client');
  if (request.redirectUri !== redirectUri) {
    throw new OAuthError('invalid_grant', 'redirect_uri is not that of the authorization request');
  }
  if (s256(verifier) !== request.codeChallenge) {
    throw new OAuthError('invalid_grant', 'code_verifier does not match the code_challenge');
  }
  const grant = grants.create({ clientId: client.id, userId, scopes: request.scopes, baseIds });
  return grants.issuePair(grant.id, request.scopes);
}

function refresh(form: URLSearchParams, client: OAuthClient, { grants }: SandboxContext): TokenPair {
  const token = required(form, 'refresh_token');
  const scope = form.get('scope');
  const scopes = scope === null || scope === '' ? null : scope.split(' ').filter((name) => name !== '');
  return grants.refresh(token, client.id, scopes);
}

function tokenReply({ accessToken, refreshToken, scopes }: TokenPair, { settings }: SandboxContext): Reply {
  const { accessTokenLifetimeMs, refreshTokenLifetimeMs } = settings.limits;
  return {
    status: 200,
    headers: NO_STORE,
    json: {
      access_token: accessToken,
      refresh_token: refreshToken,
      token_type: settings.switches.tokenTypeTrailingSpace ? 'Bearer ' : 'Bearer',
      scope: scopes.join(' '),
      expires_in: Math.floor(accessTokenLifetimeMs / 1_000),
      refresh_expires_in: Math.floor(refreshTokenLifetimeMs / 1_000),
    },
  };
}

const NO_STORE = { 'cache-control': 'no-store', pragma: 'no-cache' };

/** Turns an OAuthError into its answer. */
function withOAuthErrors({ settings }: SandboxContext, handle: (request: SandboxRequest) => Reply): Handler {
  return (request) => {
    try {
      return handle(request);
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error;
      const description = settings.switches.omitErrorDescription
        ? {}
        : { error_description: error.description };
      return { status: error.status, headers: NO_STORE, json: { error: error.code, ...description } };
    }
  };
}

function readForm(request: SandboxRequest): URLSearchParams {
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  if (type === 'application/x-www-form-urlencoded') return request.form();
  throw new OAuthError('invalid_request', 'The content type must be application/x-www-form-urlencoded');
}

function refuseRepeated(form: URLSearchParams): void {
  const repeated = SINGLE_PARAMETERS.find((name) => form.getAll(name).length > 1);
  if (repeated !== undefined) throw new OAuthError('invalid_request', `${repeated} is repeated`);
}

function required(form: URLSearchParams, name: string): string {
  const value = form.get(name);
  if (!value) throw new OAuthError('invalid_request', `${name} is missing`);
  return value;
}
