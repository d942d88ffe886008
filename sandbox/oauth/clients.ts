import { timingSafeEqual } from 'node:crypto';
import { isLoopbackRedirect } from './redirect-uri.ts';
import { USER_SCOPES } from './scopes.ts';

/** An integration that was registered at the upstream. */
export interface OAuthClient {
  id: string;
  /** Null for an integration without a secret, which must not send one. */
  secret: string | null;
  name: string;
  /** Scopes enabled on the integration. */
  scopes: readonly string[];
  isRegisteredRedirect(redirectUri: string): boolean;
}

/** All are in development: any loopback address is registered for them. The second one has fewer scopes enabled. */
const CLIENTS: readonly OAuthClient[] = [
  {
    id: 'calendly_client_xyz789',
    secret: 'secret_calendly_abc123',
    name: 'Omnera Integration',
    scopes: USER_SCOPES,
    isRegisteredRedirect: isLoopbackRedirect,
  },
  {
    id: 'calendly_client_second',
    secret: 'secret_calendly_second',
    name: 'Second Integration',
    scopes: USER_SCOPES.filter((scope) => scope !== 'block:manage'),
    isRegisteredRedirect: isLoopbackRedirect,
  },
  {
    id: 'calendly_client_public',
    secret: null,
    name: 'Public Integration',
    scopes: USER_SCOPES,
    isRegisteredRedirect: isLoopbackRedirect,
  },
];

export function listClients(): readonly OAuthClient[] {
  return CLIENTS;
}

export function findClient(id: string): OAuthClient | undefined {
  return CLIENTS.find((client) => client.id === id);
}

export function secretMatches(client: OAuthClient, secret: string): boolean {
  if (client.secret === null) return false;
  const known = Buffer.from(client.secret);
  const given = Buffer.from(secret);
  return known.length === given.length && timingSafeEqual(known, given);
}
