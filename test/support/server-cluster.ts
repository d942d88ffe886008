import { randomBytes } from 'node:crypto';
import getPort from 'get-port';
import { createSandbox } from '../../sandbox/sandbox.ts';
import { SandboxProcess } from '../../src/local/sandbox.ts';
import { ServerProcess, temporaryFolder } from '../local/server-process.ts';
import { connect, control, type GraphQLAnswer, type TestApp } from './app.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { LoadBalancer } from './load-balancer.ts';

/** One server of a cluster, as a process of its own that can be killed, stopped and started again on the same port. */
export class ClusterServer {
  readonly url: string;
  readonly #variables: Record<string, string>;
  #process: ServerProcess | null = null;
  #isOver = false;

  constructor(port: number, variables: Record<string, string>) {
    this.url = `http://localhost:${port}`;
    this.#variables = { PUBLIC_URL: this.url, ...variables, PORT: String(port) };
  }

  /** @param how Compiled ahead, or as people start it, which takes longer. */
  async start(how: 'compiled' | 'as people do' = 'compiled'): Promise<void> {
    if (this.#isOver) throw new Error('The cluster is closed.');
    this.#process =
      how === 'compiled' ? ServerProcess.compiled(this.#variables) : new ServerProcess(this.#variables);
    await this.#process.written(/"msg":"ready"/);
  }

  /** 0 while it does not run. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Everything that the process has written. */
  get output(): string {
    return this.#process?.output ?? '';
  }

  /** SIGSTOP: it stands still, as on a machine that sleeps, and keeps its sockets. */
  pause(): void {
    this.#signal('SIGSTOP');
  }

  resume(): void {
    this.#signal('SIGCONT');
  }

  /** SIGKILL, and its end. */
  async kill(): Promise<void> {
    await this.#process?.ended('SIGKILL');
    this.#process = null;
  }

  /** For good: what a test that has failed still does must not start it again. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.kill();
  }

  /** SIGTERM. @returns its exit code, once it has ended by itself. */
  async stop(): Promise<number | null> {
    const code = (await this.#process?.ended('SIGTERM')) ?? null;
    this.#process = null;
    return code;
  }

  /** One operation. Rejects when the server dies before it has answered. */
  readonly graphql: TestApp['graphql'] = async (query, variables) => {
    const response = await fetch(`${this.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${this.#variables['ADMIN_API_KEY']}`,
      },
      body: JSON.stringify({ query, variables }),
    });
    return {
      status: response.status,
      headers: response.headers,
      ...((await response.json()) as object),
    } as GraphQLAnswer;
  };

  /** Creates a connection and grants access to it. @returns its id. */
  readonly connect: TestApp['connect'] = (wishes) => connect(this.graphql, wishes);

  #signal(signal: NodeJS.Signals): void {
    const pid = this.#process?.pid;
    if (!pid) throw new Error('The server does not run.');
    process.kill(pid, signal);
  }
}

interface ClusterSandbox {
  url: string;
  close(): Promise<void>;
}

export interface ServerCluster {
  servers: ClusterServer[];
  adminKey: string;
  database: TestDatabase;
  sandbox: ClusterSandbox;
  /** What stands in front of all servers. */
  balancer: LoadBalancer;
  close(): Promise<void>;
}

/** A sandbox that keeps its own time: what a test does meanwhile does not hold up what arrives. */
async function sandboxApart(): Promise<ClusterSandbox> {
  const folder = await temporaryFolder();
  const { signal } = new AbortController();
  const sandbox = await SandboxProcess.start({ dataDir: folder.path, port: await getPort(), signal });
  return {
    url: sandbox.url,
    async close() {
      await sandbox.stop();
      await folder.remove();
    },
  };
}

/**
 * Server processes as in production on one database and one sandbox, which runs here unless it is to be `apart`.
 * @param options.variables Settings of all servers beside those that production needs.
 * @param options.together Whether they share one public address, that of the load balancer in front of them.
 * @param options.records How many the sandbox has; one that is apart has thousands.
 * @param options.database In place of a new one; it is closed with the cluster.
 */
export async function startCluster({
  size,
  variables = {},
  apart = false,
  together = false,
  records = 'small',
  database: given,
}: {
  size: number;
  variables?: Record<string, string>;
  apart?: boolean;
  together?: boolean;
  records?: 'small' | 'large';
  database?: TestDatabase;
}): Promise<ServerCluster> {
  const [database, sandbox, balancer] = await Promise.all([
    given ?? createTestDatabase(),
    apart ? sandboxApart() : createSandbox({ size: records }),
    LoadBalancer.start(),
  ]);
  await control(sandbox.url, 'limits', { requestsPerSecond: 0 });
  const shared = {
    NODE_ENV: 'production',
    HOST: 'localhost',
    DATABASE_URL: database.url,
    CALENDLY_API_URL: sandbox.url,
    CALENDLY_OAUTH_URL: sandbox.url,
    ENCRYPTION_KEYS: `test:${randomBytes(32).toString('base64')}`,
    ADMIN_API_KEY: `test_admin_${randomBytes(24).toString('base64url')}`,
    // Lifted together with the sandbox's limit.
    RATE_LIMIT_CALLS: '1000',
    RATE_LIMIT_WINDOW_MS: '100',
    ...(together ? { PUBLIC_URL: balancer.url } : {}),
    ...variables,
  };
  const servers: ClusterServer[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.end()));
    await balancer.close();
    await sandbox.close();
    await database.close();
  };
  try {
    for (let index = 0; index < size; index += 1) {
      servers.push(new ClusterServer(await getPort(), shared));
    }
    balancer.ports = servers.map(({ url }) => Number(new URL(url).port));
    await Promise.all(servers.map((server) => server.start()));
    return { servers, adminKey: shared.ADMIN_API_KEY, database, sandbox, balancer, close };
  } catch (error) {
    await close();
    throw error;
  }
}
