import { findClient, secretMatches, type OAuthClient } from './clients.ts';
import { OAuthError } from './oauth-error.ts';

/**
 * The integration that makes a token request. One with a secret has to use Basic authentication, and a `client_id` in the
 * body must then be the same; one without a secret must not send the header and has to name itself in the body.
 * Throws OAuthError invalid_client.
 */
export function authenticateClient(authorization: string | undefined, form: URLSearchParams): OAuthClient {
  const bodyId = form.get('client_id');
  if (authorization === undefined) {
    const client = findClient(bodyId ?? '');
    if (!client) throw invalidClient('The client is unknown');
    if (client.secret !== null)
      throw invalidClient('This client must authenticate with its secret by HTTP Basic');
    return client;
  }
  const credentials = parseBasic(authorization);
  const client = findClient(credentials?.id ?? '');
  if (!credentials || !client) throw invalidClient('The client is unknown');
  if (client.secret === null)
    throw invalidClient('This client has no secret and must not send an Authorization header');
  if (!secretMatches(client, credentials.secret)) throw invalidClient('The client secret is wrong');
  if (bodyId !== null && bodyId !== client.id)
    throw invalidClient('client_id differs from the Authorization header');
  return client;
}

/** Buffer reads the ordinary and the URL-safe alphabet alike, with or without padding. */
function parseBasic(authorization: string): { id: string; secret: string } | null {
  const encoded = /^Basic +([A-Za-z0-9+/_-]+={0,2}) *$/i.exec(authorization)?.[1];
  if (encoded === undefined) return null;
  const [id = '', ...rest] = Buffer.from(encoded, 'base64').toString('utf8').split(':');
  return rest.length === 0 ? null : { id, secret: rest.join(':') };
}

function invalidClient(description: string): OAuthError {
  return new OAuthError('invalid_client', description);
}
