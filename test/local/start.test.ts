import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { readFile, readdir, stat } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { keys } from '../../src/commands/keys.ts';
import { migrationLock } from '../../src/database/data-source.ts';
import { processIdentity } from '../../src/local/process-identity.ts';
import { callInProcess } from '../support/command.ts';
import { createTestDatabase } from '../support/database.ts';
import { ServerProcess, temporaryFolder } from './server-process.ts';

const startTimeoutMs = 120_000;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let dataDir: string;
const started: ServerProcess[] = [];

const makeFolder = async (): Promise<void> => {
  folder = await temporaryFolder();
  dataDir = join(folder.path, 'data');
};

const endAll = async (): Promise<void> => {
  for (const server of started.splice(0)) await server.ended('SIGKILL');
  await endLeftovers();
};

/* One story: each test goes on where the one before it has ended. */
describe('on one data folder, from the first start on', () => {
  let server: ServerProcess;
  let address = '';
  let adminKey = '';
  let parts: number[];
  const keysMade: string[] = [];
  beforeAll(makeFolder);
  afterAll(async () => {
    await endAll();
    await folder.remove();
  });

  const createKey = async (name: string): Promise<void> => {
    const made = await callInProcess(keys, ['create', '--name', name, '--role', 'viewer'], {
      DATA_DIR: dataDir,
    });
    expect(made.notes).toContain('Created key');
    keysMade.push(made.output.trim());
  };

  test(
    'Ctrl-C during the start ends it cleanly',
    async () => {
      const interrupted = startAsPeopleDo();
      await folderAppears(join(dataDir, 'keys'));
      expect(await interrupted.ended('SIGINT')).toBe(0);
    },
    startTimeoutMs,
  );

  test(
    'the next start just works, and ends with a link that is signed in, once',
    async () => {
      server = startAsPeopleDo();
      const link = await server.written(/Explore\s+(\S+)/);
      const [linked = '', code = ''] = link.split('/graphql#code=');
      address = linked;
      const key = await exchange(address, code);
      expect(await exchange(address, code)).toBeNull();
      adminKey = (await readFile(join(dataDir, 'keys', 'admin-api-key'), 'utf8')).trim();
      expect(server.output).not.toContain(adminKey);
      const created = await query(
        address,
        adminKey,
        `mutation { createConnection(input: { type: "calendly", name: "Kept", clientId: "a", clientSecret: "b" }) { __typename } }`,
      );
      expect(created).not.toHaveProperty('errors');
      expect(await query(address, key ?? '', '{ connections { name } }')).toEqual({
        data: { connections: [{ name: 'Kept' }] },
        extensions: expect.anything(),
      });
      parts = await localPids();
      expect(await Promise.all(parts.map(processIdentity))).not.toContain(null);
    },
    startTimeoutMs,
  );

  test(
    'another start beside it is refused, with the first one named',
    async () => {
      const another = start();
      expect(await another.ended()).toBe(1);
      expect(another.output).toContain(`Already running: process ${server.pid} serves ${address}`);
    },
    startTimeoutMs,
  );

  test('npm run keys works beside it', async () => {
    await createKey('While it runs');
    expect(await query(address, keysMade[0] ?? '', '{ __typename }')).toMatchObject({
      data: { __typename: 'Query' },
    });
  });

  test('Ctrl-C ends it with its parts, within five seconds', async () => {
    const stoppedAt = performance.now();
    expect(await server.ended('SIGINT')).toBe(0);
    expect(performance.now() - stoppedAt).toBeLessThan(5_000);
    expect(await Promise.all(parts.map(processIdentity))).toEqual([null, null]);
    expect(await readdir(dataDir)).not.toContain('holder.json');
  });

  test('npm run keys works without it', () => createKey('While it does not'));

  test(
    'a start after that has kept everything',
    async () => {
      server = start();
      [address = ''] = (await server.written(/Explore\s+(\S+)/)).split('/graphql');
      expect(await query(address, adminKey, '{ connections { name } }')).toMatchObject({
        data: { connections: [{ name: 'Kept' }] },
      });
      for (const key of keysMade)
        expect(await query(address, key, '{ __typename }')).toMatchObject({ data: { __typename: 'Query' } });
      const listed = await callInProcess(keys, ['list'], { DATA_DIR: dataDir });
      expect(listed.output).toMatch(/While it runs[^]*While it does not/);
    },
    startTimeoutMs,
  );

  test(
    'after a kill, a start just works and ends what was left behind',
    async () => {
      const left = await localPids();
      await server.ended('SIGKILL');
      server = start();
      await server.written(/Explore\s+(\S+)/);
      expect(await Promise.all(left.map(processIdentity))).toEqual([null, null]);
    },
    startTimeoutMs,
  );

  test('it ends with a reason when its database is killed', async () => {
    const [database = 0] = await localPids();
    process.kill(database, 'SIGKILL');
    expect(await server.ended()).toBe(1);
    expect(server.output).toContain('The local PostgreSQL has ended by itself');
  });
});

describe('on a folder of its own', () => {
  beforeEach(makeFolder);
  afterEach(async () => {
    await endAll();
    await folder.remove();
  });

  test('a chosen port that is taken ends the start with its name', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const server = start({ HOST: '127.0.0.1', PORT: String(port) });
    expect(await server.ended()).toBe(1);
    expect(server.output).toContain(`PORT: port ${port} on 127.0.0.1 is taken`);
    expect(server.output).not.toContain('    at ');
    other.close();
  });

  test('a faulty configuration is refused with all of its faults, and nothing is started', async () => {
    const server = start({ PORT: 'many', ROLE: 'boss', ADMIN_API_KEY: 'hunter2' });
    expect(await server.ended()).toBe(1);
    expect(server.output).toContain('The configuration has 3 faults');
    for (const name of ['PORT', 'ROLE', 'ADMIN_API_KEY']) expect(server.output).toContain(`- ${name} `);
    expect(server.output).not.toContain('hunter2');
    expect(server.output).not.toContain('    at ');
    await expect(stat(dataDir)).rejects.toThrow('ENOENT');
  });

  test(
    'production starts nothing of its own: no database, no sandbox, no data folder',
    async () => {
      const database = await createTestDatabase();
      const production = {
        NODE_ENV: 'production',
        HOST: '127.0.0.1',
        DATABASE_URL: database.url,
        CALENDLY_API_URL: 'http://127.0.0.1:1',
        CALENDLY_OAUTH_URL: 'http://127.0.0.1:1',
        ENCRYPTION_KEYS: `k:${Buffer.alloc(32, 7).toString('base64')}`,
        ADMIN_API_KEY: 'an_administrator_key_of_the_test_long_enough',
      };

      // A start that waits for another instance's migration can be stopped all the same.
      const migrating = new pg.Client({ connectionString: database.url });
      await migrating.connect();
      await migrating.query('SELECT pg_advisory_lock($1)', [migrationLock]);
      const waiting = start(production);
      const waits = `SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
      while ((await migrating.query(waits)).rowCount === 0) await delay(20);
      const stoppedAt = performance.now();
      expect(await waiting.ended('SIGTERM')).toBe(0);
      expect(performance.now() - stoppedAt).toBeLessThan(10_000);
      await migrating.end();

      const server = start(production);
      await server.written(/"msg":"ready"/);
      for (const line of server.output.trim().split('\n'))
        expect(() => JSON.parse(line) as unknown).not.toThrow();
      await expect(stat(dataDir)).rejects.toThrow('ENOENT');
      expect(await server.ended('SIGTERM')).toBe(0);
      await database.close();
    },
    startTimeoutMs,
  );

  test('--version and --help answer and end; an unknown argument is an error', async () => {
    const version = new ServerProcess({}, ['--version']);
    expect(await version.ended()).toBe(0);
    expect(version.output).toMatch(/^\d+\.\d+\.\d+\n$/);
    const help = ServerProcess.compiled({}, ['--help']);
    expect(await help.ended()).toBe(0);
    expect(help.output).toContain('npm start');
    const unknown = ServerProcess.compiled({}, ['--fast']);
    expect(await unknown.ended()).toBe(1);
    expect(unknown.output).toContain('Unknown argument --fast');
  });
});

const freePorts = { PORT: '0', SANDBOX_PORT: '0' };

/** Compiled first, as `npm start` does. */
function startAsPeopleDo(): ServerProcess {
  const server = new ServerProcess({ DATA_DIR: dataDir, ...freePorts });
  started.push(server);
  return server;
}

function start(variables: Record<string, string> = {}): ServerProcess {
  const server = ServerProcess.compiled({ DATA_DIR: dataDir, ...freePorts, ...variables });
  started.push(server);
  return server;
}

/** PostgreSQL and the sandbox, as they run from the data folder. */
async function localPids(): Promise<[database: number, sandbox: number]> {
  const lock = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8');
  const card = JSON.parse(await readFile(join(dataDir, 'sandbox', 'process.json'), 'utf8')) as {
    pid: number;
  };
  return [Number(lock.split('\n')[0]), card.pid];
}

/** A killed server leaves its parts to the next start; here there is none. */
async function endLeftovers(): Promise<void> {
  const pids = await localPids().catch(() => []);
  for (const pid of pids) {
    if ((await processIdentity(pid)) !== null) process.kill(pid, 'SIGKILL');
  }
}

async function folderAppears(path: string): Promise<void> {
  while (
    !(await stat(path).then(
      () => true,
      () => false,
    ))
  ) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function exchange(address: string, code: string): Promise<string | null> {
  const answer = await fetch(`${address}/explorer/key`, { method: 'POST', body: JSON.stringify({ code }) });
  const { key } = (await answer.json()) as { key?: string };
  return answer.ok ? (key ?? null) : null;
}

async function query(address: string, key: string, document: string): Promise<unknown> {
  const answer = await fetch(`${address}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify({ query: document }),
  });
  return answer.json();
}
