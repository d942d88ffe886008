import pg from 'pg';

/** Connections that the list of the scenario `connections` holds. */
export const listLength = 50;

/** What a settings page shows of each connection. */
export const connectionsQuery = `{ connections {
  id nodeId type name state availableActions managedByFile createdAt updatedAt problem { code message }
  ... on CalendlyConnection {
    clientId clientSecret scopes missingScopes account { id email }
    accessTokenExpiresAt refreshTokenExpiresAt lastRefreshedAt lastUsedAt
  }
} }`;

/** Fills the list up to its length, with connections in every state, beside those that servers have made. */
export async function fillConnections(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(
      `INSERT INTO connections (type, name, client_id, state, problem_code, problem_message, requested_scopes, granted_scopes,
         account_id, account_email, access_token_expires_at, refresh_token_expires_at, last_refreshed_at, last_used_at)
       SELECT 'calendly', 'Listed ' || n, 'client_' || n, state, problem, 'Connect again.', scopes,
         CASE WHEN state = 'connected' THEN scopes ELSE '{}' END, 'usr' || n, 'account' || n || '@example.com',
         now() + interval '1 day', now() + interval '60 days', now(), now()
       FROM generate_series(1, $1 - (SELECT count(*) FROM connections)) n,
         LATERAL (SELECT (ARRAY['configured', 'connected', 'disconnected', 'error'])[1 + n % 4] AS state) s,
         LATERAL (SELECT CASE WHEN state = 'error' THEN 'INVALID_GRANT' END AS problem,
           ARRAY['data.records:read', 'schema.bases:read', 'data.records:write', 'webhook:manage'] AS scopes) p`,
      [listLength],
    );
  } finally {
    await client.end();
  }
}
