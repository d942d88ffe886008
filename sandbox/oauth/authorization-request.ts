import { findClient, type OAuthClient } from './clients.ts';
import { OAuthError } from './oauth-error.ts';

/** A request of an integration for a user's consent, checked. */
export interface AuthorizationRequest {
  clientId: string;
  redirectUri: string;
  scopes: string[];
  state: string;
  codeChallenge: string;
}

/** The part that decides whether there is anywhere to send an error to. */
export interface RedirectTarget {
  client: OAuthClient;
  redirectUri: string;
  /** Sent back with an error; null if the request had none. */
  state: string | null;
}

const STATE = /^[A-Za-z0-9._-]{16,1024}$/;
const S256_CHALLENGE = /^[A-Za-z0-9_-]{43}$/;
const PARAMETERS = [
  'client_id',
  'redirect_uri',
  'response_type',
  'scope',
  'state',
  'code_challenge',
  'code_challenge_method',
];

/** Null if the client is unknown or the redirect is not one of its own: then the user must not be redirected at all. */
export function findRedirectTarget(query: URLSearchParams): RedirectTarget | null {
  const client = findClient(onlyValue(query, 'client_id') ?? '');
  const redirectUri = onlyValue(query, 'redirect_uri');
  if (!client || redirectUri === null || !client.isRegisteredRedirect(redirectUri)) return null;
  return { client, redirectUri, state: onlyValue(query, 'state') };
}

/** Checks the rest of the request. Throws OAuthError with the code for the error redirect. */
export function readAuthorizationRequest(
  query: URLSearchParams,
  { client, redirectUri }: RedirectTarget,
): AuthorizationRequest {
  const repeated = PARAMETERS.find((name) => query.getAll(name).length > 1);
  if (repeated !== undefined) throw invalid(`${repeated} is repeated`);
  const missing = PARAMETERS.find((name) => !query.has(name));
  if (missing !== undefined) throw invalid(`${missing} is missing`);
  if (query.get('response_type') !== 'code') {
    throw new OAuthError('unsupported_response_type', 'response_type must be "code"');
  }
  const state = query.get('state') ?? '';
  if (!STATE.test(state)) throw invalid('state must be 16 to 1024 characters of A-Z a-z 0-9 . - _');
  if (query.get('code_challenge_method') !== 'S256') throw invalid('code_challenge_method must be "S256"');
  const codeChallenge = query.get('code_challenge') ?? '';
  if (!S256_CHALLENGE.test(codeChallenge)) {
    throw invalid('code_challenge must be the base64url of a SHA-256, without padding');
  }
  const scopes = readScopes(query.get('scope') ?? '', client);
  return { clientId: client.id, redirectUri, scopes, state, codeChallenge };
}

function readScopes(text: string, client: OAuthClient): string[] {
  const scopes = text.split(' ');
  if (scopes.includes('')) throw invalidScope('The scope is empty or not separated by single spaces');
  if (new Set(scopes).size < scopes.length) throw invalidScope('A scope is named twice');
  const unregistered = scopes.find((scope) => !client.scopes.includes(scope));
  if (unregistered !== undefined) throw invalidScope('A scope is not enabled on this integration');
  return scopes;
}

function onlyValue(query: URLSearchParams, name: string): string | null {
  const values = query.getAll(name);
  return values.length === 1 ? (values[0] ?? null) : null;
}

function invalid(description: string): OAuthError {
  return new OAuthError('invalid_request', description);
}

function invalidScope(description: string): OAuthError {
  return new OAuthError('invalid_scope', description);
}
