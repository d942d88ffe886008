import { createSchema, createYoga } from 'graphql-yoga';
import pg from 'pg';
import { listenOn, serve } from './serve.ts';

interface Row {
  id: number;
  state: 'configured' | 'connected' | 'disconnected' | 'error';
  requestedScopes: string[];
  scopes: string[];
  problemCode: string | null;
  problemMessage: string | null;
  accountId: string | null;
  accountEmail: string | null;
}

const typeDefs = `
  scalar DateTime
  type Query { connections: [Connection!]! }
  type Problem { code: String! message: String! }
  type Account { id: String! email: String }
  interface Connection {
    id: Int! nodeId: ID! type: String! name: String! state: String! availableActions: [String!]!
    managedByFile: Boolean! createdAt: DateTime! updatedAt: DateTime! problem: Problem
  }
  type CalendlyConnection implements Connection {
    id: Int! nodeId: ID! type: String! name: String! state: String! availableActions: [String!]!
    managedByFile: Boolean! createdAt: DateTime! updatedAt: DateTime! problem: Problem
    clientId: String! clientSecret: String! scopes: [String!]! missingScopes: [String!]! account: Account
    accessTokenExpiresAt: DateTime refreshTokenExpiresAt: DateTime lastRefreshedAt: DateTime lastUsedAt: DateTime
  }
`;

const selectConnections = `SELECT id, 'CALENDLY' AS type, name, state, client_id AS "clientId",
  requested_scopes AS "requestedScopes", granted_scopes AS scopes, problem_code AS "problemCode", problem_message AS "problemMessage",
  account_id AS "accountId", account_email AS "accountEmail", managed_by_file AS "managedByFile",
  access_token_expires_at AS "accessTokenExpiresAt", refresh_token_expires_at AS "refreshTokenExpiresAt",
  last_refreshed_at AS "lastRefreshedAt", last_used_at AS "lastUsedAt", created_at AS "createdAt", updated_at AS "updatedAt"
  FROM connections ORDER BY id LIMIT 1000`;

const missing = ({ state, requestedScopes, scopes }: Row): string[] =>
  state === 'connected' ? requestedScopes.filter((scope) => !scopes.includes(scope)) : [];

function actions(row: Row): string[] {
  switch (row.state) {
    case 'configured':
      return ['CONNECT'];
    case 'connected':
      return missing(row).length > 0 ? ['TEST', 'DISCONNECT', 'RECONNECT'] : ['TEST', 'DISCONNECT'];
    case 'disconnected':
      return ['RECONNECT'];
    case 'error':
      return ['UPDATE_CREDENTIALS', 'RECONNECT', 'DISCONNECT'];
  }
}

/** Yoga as it comes, with the one statement that the list of connections takes, and nothing else. */
serve(async (setup) => {
  // As many as ours keeps.
  const pool = new pg.Pool({ connectionString: setup.databaseUrl, max: 10 });
  const schema = createSchema({
    typeDefs,
    resolvers: {
      Query: { connections: async () => (await pool.query<Row>(selectConnections)).rows },
      Connection: { __resolveType: () => 'CalendlyConnection' },
      CalendlyConnection: {
        nodeId: ({ id }: Row) => Buffer.from(`CalendlyConnection:${id}`).toString('base64'),
        state: ({ state }: Row) => state.toUpperCase(),
        availableActions: actions,
        missingScopes: missing,
        clientSecret: () => '***',
        problem: ({ state, problemCode: code, problemMessage: message }: Row) =>
          state === 'error' && code !== null ? { code, message } : null,
        account: ({ accountId: id, accountEmail: email }: Row) => (id === null ? null : { id, email }),
      },
    },
  });
  const yoga = createYoga({ schema });
  return {
    url: `${await listenOn((request, response) => void yoga(request, response))}/graphql`,
    headers: {},
  };
});
