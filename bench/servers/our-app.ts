import getPort from 'get-port';
import { createApp, type App, type ResolvedConfig } from '../../src/app.ts';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config.ts';
import { createLogger } from '../../src/logger.ts';
import { listen } from '../../src/server/listen.ts';
import { authorizationUrl, walkFlow, type TestApp } from '../../test/support/app.ts';
import { TEST_CLIENT } from '../../test/support/sandbox-grant.ts';
import type { Ready, Setup } from './serve.ts';

/**
 * The real app through its front door: API key, limits, masking, CSRF, extensions, PostgreSQL, configured as in
 * production; unless `setup.limited`, the budget towards the upstream is set as high as the configuration goes.
 * @param adapt replaces services of the app before the doors open
 * @param scopes of its connection
 */
export async function startOurs(
  setup: Setup,
  adapt: (app: App, config: ResolvedConfig) => App = (app) => app,
  scopes: 'READ_WRITE' | 'WITH_WEBHOOKS' = 'READ_WRITE',
): Promise<Ready> {
  const port = await getPort();
  const publicUrl = `http://localhost:${port}`;
  const config: ResolvedConfig = {
    ...readConfig({
      NODE_ENV: 'production',
      PUBLIC_URL: publicUrl,
      DATABASE_URL: setup.databaseUrl,
      CALENDLY_API_URL: setup.sandboxUrl,
      CALENDLY_OAUTH_URL: setup.sandboxUrl,
      ENCRYPTION_KEYS: setup.encryptionKeys,
      ADMIN_API_KEY: setup.adminKey,
      LOG_LEVEL: 'error',
      // The receiver of deliveries is beside us.
      TRIGGER_ALLOWED_HOSTS: '127.0.0.1',
      ...(setup.limited ? {} : { RATE_LIMIT_CALLS: '1000', RATE_LIMIT_WINDOW_MS: '100' }),
    }),
    databaseUrl: setup.databaseUrl,
    publicUrl,
    upstream: { apiUrl: setup.sandboxUrl, oauthUrl: setup.sandboxUrl },
  };
  const app = await createApp(config, { logger: createLogger(config.logLevel), clock: systemClock });
  const url = `http://127.0.0.1:${port}/graphql`;
  await listen(adapt(app, config), { host: '127.0.0.1', port });
  const headers = { authorization: `Bearer ${setup.adminKey}` };
  return { url, headers, connection: await connect(url, headers, scopes) };
}

/** Creates a connection and walks its OAuth flow against the sandbox, as a person would. */
async function connect(
  url: string,
  headers: Record<string, string>,
  scopes: 'READ_WRITE' | 'WITH_WEBHOOKS',
): Promise<number> {
  const graphql: TestApp['graphql'] = async (query, variables) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ query, variables }),
    });
    return {
      status: response.status,
      headers: response.headers,
      ...((await response.json()) as { data: null }),
    };
  };
  const { data, errors } = await graphql<{ createConnection: { connection: { id: number } } }>(
    `
      mutation ($input: CreateConnectionInput!) {
        createConnection(input: $input) {
          ... on CreateConnectionSuccess {
            connection {
              id
            }
          }
          ... on Error {
            message
          }
        }
      }
    `,
    { input: { type: 'calendly', name: `Benchmark ${process.pid}`, ...TEST_CLIENT, scopes } },
  );
  if (!data) throw new Error(`The connection was not created: ${JSON.stringify(errors)}`);
  const { id } = data.createConnection.connection;
  const page = await walkFlow(await authorizationUrl(graphql, id));
  if (page.status !== 200) throw new Error(`The OAuth flow ended with ${page.status}: ${page.text}`);
  return id;
}
