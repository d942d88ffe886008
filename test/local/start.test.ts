import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { readFile, readdir, stat } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { processIdentity } from '../../src/local/process-identity.ts';
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

describe('on one data folder, from the first start on', () => {
  beforeAll(makeFolder);
  afterEach(endAll);
  afterAll(() => folder.remove());

  test(
    'a first start ends with a link that is signed in, once; a second one has kept everything',
    async () => {
      const first = start();
      const link = await first.written(/Explore\s+(\S+)/);
      const [address = '', code = ''] = link.split('/graphql#code=');
      const key = await exchange(address, code);
      expect(await exchange(address, code)).toBeNull();
      const adminKey = (await readFile(join(dataDir, 'keys', 'admin-api-key'), 'utf8')).trim();
      expect(first.output).not.toContain(adminKey);
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
      const parts = await localPids();
      expect(await Promise.all(parts.map(processIdentity))).not.toContain(null);

      const stoppedAt = performance.now();
      expect(await first.ended('SIGINT')).toBe(0);
      expect(performance.now() - stoppedAt).toBeLessThan(5_000);
      expect(await Promise.all(parts.map(processIdentity))).toEqual([null, null]);
      expect(await readdir(dataDir)).not.toContain('holder.json');

      const second = start();
      const [newAddress = ''] = (await second.written(/Explore\s+(\S+)/)).split('/graphql');
      expect(await query(newAddress, adminKey, '{ connections { name } }')).toMatchObject({
        data: { connections: [{ name: 'Kept' }] },
      });
      expect(await second.ended('SIGTERM')).toBe(0);
    },
    startTimeoutMs,
  );

  test(
    'a second start on the same folder is refused with the first one named; after a kill of the first, a start just works',
    async () => {
      const first = start();
      const [address = ''] = (await first.written(/Explore\s+(\S+)/)).split('/graphql');

      const second = start();
      expect(await second.ended()).toBe(1);
      expect(second.output).toContain(`Already running: process ${first.pid} serves ${address}`);

      const left = await localPids();
      await first.ended('SIGKILL');
      const third = start();
      await third.written(/Explore\s+(\S+)/);
      expect(await Promise.all(left.map(processIdentity))).toEqual([null, null]);
      expect(await third.ended('SIGINT')).toBe(0);
    },
    startTimeoutMs,
  );

  test(
    'the server ends with a reason when its database is killed',
    async () => {
      const server = start();
      await server.written(/Explore\s+(\S+)/);
      const [database = 0] = await localPids();
      process.kill(database, 'SIGKILL');
      expect(await server.ended()).toBe(1);
      expect(server.output).toContain('The local PostgreSQL has ended by itself');
    },
    startTimeoutMs,
  );
});

describe('on a folder of its own', () => {
  beforeEach(makeFolder);
  afterEach(async () => {
    await endAll();
    await folder.remove();
  });

  test(
    'Ctrl-C during the start ends it cleanly, and the next one just works',
    async () => {
      const first = start();
      await folderAppears(join(dataDir, 'keys'));
      expect(await first.ended('SIGINT')).toBe(0);
      const second = start();
      await second.written(/Explore\s+(\S+)/);
      expect(await second.ended('SIGINT')).toBe(0);
    },
    startTimeoutMs,
  );

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
      const server = start({
        NODE_ENV: 'production',
        HOST: '127.0.0.1',
        DATABASE_URL: database.url,
        CALENDLY_API_URL: 'http://127.0.0.1:1',
        CALENDLY_OAUTH_URL: 'http://127.0.0.1:1',
        ENCRYPTION_KEYS: `k:${Buffer.alloc(32, 7).toString('base64')}`,
        ADMIN_API_KEY: 'an_administrator_key_of_the_test_long_enough',
      });
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
    const help = new ServerProcess({}, ['--help']);
    expect(await help.ended()).toBe(0);
    expect(help.output).toContain('npm start');
    const unknown = new ServerProcess({}, ['--fast']);
    expect(await unknown.ended()).toBe(1);
    expect(unknown.output).toContain('Unknown argument --fast');
  });
});

function start(variables: Record<string, string> = {}): ServerProcess {
  const server = new ServerProcess({ DATA_DIR: dataDir, PORT: '0', SANDBOX_PORT: '0', ...variables });
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
