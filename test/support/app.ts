import { randomBytes } from 'node:crypto';
import getPort from 'get-port';
import { createApp, type App, type ResolvedConfig } from '../../src/app.ts';
import { systemClock, type Clock } from '../../src/clock.ts';
import { createLogger } from '../../src/logger.ts';
import { listen, type QueryWays, type Server } from '../../src/server/listen.ts';
import { createSandbox } from '../../sandbox/sandbox.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { LogLines } from './log-lines.ts';
import { answerConsent, TEST_CLIENT } from './sandbox-grant.ts';

export type Sandbox = Awaited<ReturnType<typeof createSandbox>>;

/** Data of a document written in a test. Operations in test/operations have types of their own. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a document in a string has no type to check against
export type UntypedData = any;

export interface GraphQLAnswer<T = UntypedData> {
  status: number;
  headers: Headers;
  data: T | null;
  errors?: {
    message: string;
    path?: (string | number)[];
    extensions: Record<string, unknown> & { code: string };
  }[];
  extensions?: { upstream?: { calls: number; waitedMs: number; retries: number; fromCache: number } };
}

export interface TestApp {
  app: App;
  server: Server;
  url: string;
  sandbox: Sandbox;
  database: TestDatabase;
  adminKey: string;
  logs: LogLines;
  /** One operation over HTTP as an admin, unless another key is given; `key: null` sends none. */
  graphql<T = UntypedData>(
    document: string,
    variables?: object,
    options?: { key?: string | null; headers?: Record<string, string> },
  ): Promise<GraphQLAnswer<T>>;
  /** Creates a connection and walks its OAuth flow as a person would. @returns its id. */
  connect(options?: ConnectOptions): Promise<number>;
  /** A second instance on the same database and upstream; `config` where it differs from the first. */
  another(config?: Partial<ResolvedConfig>): Promise<TestApp>;
  close(): Promise<void>;
}

export interface ConnectOptions {
  name?: string;
  scopes?: 'READ_ONLY' | 'READ_WRITE' | 'WITH_WEBHOOKS';
  bases?: string[];
}

export interface TestAppOptions {
  config?: Partial<ResolvedConfig>;
  clock?: Clock;
  /** Between two looks of background work, where a test would otherwise wait for it again and again. */
  lookEveryMs?: number;
  /** Requests per second and base at the sandbox; 0, the default here, lifts the limit. */
  requestsPerSecond?: number;
  /** How queries are answered. */
  queries?: QueryWays;
}

/** Sandbox and server share a process here: its stalls move arrivals together, so a refusal now and then is no fault. */
const penaltyMs = 1_000;

const encryptionKey = { id: 'test', key: randomBytes(32) };

/** The whole suite can be run against each way of answering queries: TEST_QUERIES=pipeline or compiled. */
function queryWays(): QueryWays {
  const way = process.env['TEST_QUERIES'];
  if (way === 'pipeline') return { direct: false };
  return way === 'compiled' ? { direct: true, interpretedRuns: 0 } : { direct: true };
}

/** The real app on a database of its own against a sandbox of its own. */
export async function startTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const [database, sandbox] = await Promise.all([createTestDatabase(), createSandbox({ size: 'small' })]);
  await control(sandbox.url, 'limits', { requestsPerSecond: options.requestsPerSecond ?? 0, penaltyMs });
  const adminKey = `test_admin_${randomBytes(24).toString('base64url')}`;
  const running = await startInstance({ database, sandbox, adminKey, options });
  return {
    ...running,
    async close() {
      await running.close();
      await sandbox.close();
      await database.close();
    },
  };
}

async function startInstance(shared: {
  database: TestDatabase;
  sandbox: Sandbox;
  adminKey: string;
  options: TestAppOptions;
}): Promise<TestApp> {
  const { database, sandbox, adminKey, options } = shared;
  const port = await getPort();
  const url = `http://localhost:${port}`;
  const logs = new LogLines();
  const clock = options.clock ?? systemClock;
  const config: ResolvedConfig = {
    production: false,
    host: 'localhost',
    port,
    portIsChosen: true,
    publicUrl: url,
    publicUrlIsChosen: true,
    dataDir: '',
    databaseUrl: database.url,
    databasePoolSize: 10,
    upstream: { apiUrl: sandbox.url, oauthUrl: sandbox.url },
    sandboxPort: 0,
    sandboxPortIsChosen: false,
    encryptionKeys: [encryptionKey],
    adminApiKey: adminKey,
    connectionsFile: null,
    identityProvider: null,
    allowedOrigins: [],
    allowedRedirectOrigins: [],
    role: 'all',
    logLevel: 'debug',
    // Lifted together with the sandbox's limit; tests of the limit set both.
    rateLimit: options.requestsPerSecond
      ? { calls: options.requestsPerSecond, windowMs: 1_025, penaltyMs }
      : { calls: 1_000, windowMs: 100, penaltyMs: 200 },
    changesRetentionDays: 30,
    webhookIdleDays: 30,
    endpoints: { allowedHosts: ['127.0.0.1'], requireHttps: false, lookup: null },
    auditRetentionDays: 365,
    syncReconcileHours: 0,
    ...options.config,
  };
  const app = await createApp(config, {
    logger: createLogger('debug', logs),
    clock: { lookEveryMs: options.lookEveryMs, now: () => clock.now() },
  });
  const server = await listen(app, { host: 'localhost', port }, options.queries ?? queryWays());

  const graphql: TestApp['graphql'] = async (query, variables, { key = adminKey, headers = {} } = {}) => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...headers,
      },
      body: JSON.stringify({ query, variables }),
    });
    return {
      status: response.status,
      headers: response.headers,
      ...((await response.json()) as object),
    } as GraphQLAnswer;
  };

  return {
    app,
    server,
    url,
    sandbox,
    database,
    adminKey,
    logs,
    graphql,
    connect: (wishes) => connect(graphql, wishes),
    another: (differing) =>
      startInstance({ ...shared, options: { ...options, config: { ...options.config, ...differing } } }),
    async close() {
      await server.close();
      await app.close();
    },
  };
}

let connectionsMade = 0;

/** Creates a connection and walks its OAuth flow as a person would. @returns its id. */
export async function connect(
  graphql: TestApp['graphql'],
  { name, scopes = 'WITH_WEBHOOKS', bases }: ConnectOptions = {},
): Promise<number> {
  connectionsMade += 1;
  const created = await graphql(
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
    { input: { type: 'calendly', name: name ?? `Connection ${connectionsMade}`, ...TEST_CLIENT, scopes } },
  );
  const id: number | undefined = created.data?.createConnection.connection?.id;
  if (id === undefined) throw new Error(`The connection was not created: ${JSON.stringify(created)}`);
  const page = await walkFlow(await authorizationUrl(graphql, id), bases);
  if (!page.text.includes('Connected')) throw new Error(`The flow ended with: ${page.text}`);
  return id;
}

export async function authorizationUrl(graphql: TestApp['graphql'], id: number): Promise<string> {
  const begun = await graphql(
    `
      mutation ($id: Int!) {
        connectConnection(input: { connection: $id }) {
          ... on ConnectConnectionSuccess {
            authorizationUrl
          }
          ... on Error {
            message
          }
        }
      }
    `,
    { id },
  );
  const url: string | undefined = begun.data?.connectConnection.authorizationUrl;
  if (url === undefined) throw new Error(`The flow did not begin: ${JSON.stringify(begun)}`);
  return url;
}

/** Opens the start link as a browser would: follows redirects by hand and keeps the cookie. */
export async function openFlow(startUrl: string): Promise<{ consentUrl: string; cookie: string }> {
  const opened = await fetch(startUrl, { redirect: 'manual' });
  const consentUrl = opened.headers.get('location');
  if (opened.status !== 303 || !consentUrl)
    throw new Error(`The start link answered ${opened.status}: ${await opened.text()}`);
  return { consentUrl, cookie: (opened.headers.get('set-cookie') ?? '').split(';')[0] ?? '' };
}

export async function walkFlow(
  startUrl: string,
  bases?: string[],
  decision: 'grant' | 'deny' = 'grant',
): Promise<{ status: number; text: string; headers: Headers }> {
  const { consentUrl, cookie } = await openFlow(startUrl);
  const callbackUrl = await answerConsent(consentUrl, decision, { bases });
  const page = await fetch(callbackUrl, { headers: { cookie } });
  return { status: page.status, text: await page.text(), headers: page.headers };
}

/** Speaks to the sandbox's control API. */
export async function control<T = UntypedData>(sandboxUrl: string, path: string, body?: object): Promise<T> {
  // A connection that was kept may just be closing, where a busy machine holds that news up.
  const connection = 'close';
  const response = await fetch(
    `${sandboxUrl}/_control/${path}`,
    body === undefined
      ? { headers: { connection } }
      : {
          method: 'POST',
          headers: { connection, 'content-type': 'application/json' },
          body: JSON.stringify(body),
        },
  );
  if (!response.ok)
    throw new Error(`/_control/${path} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}
