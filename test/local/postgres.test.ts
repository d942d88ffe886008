import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { LocalPostgres } from '../../src/local/postgres.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'local-postgres-'));
  await chmod(folder, 0o711);
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

test('keeps its data over a stop and a start', async () => {
  const first = await start();
  await rows(first.url, 'CREATE TABLE kept AS SELECT 7 AS n');
  await first.stop();

  const second = await start();
  expect(await rows(second.url, 'SELECT n FROM kept')).toEqual([{ n: 7 }]);
  await second.stop();
});

test('lets nobody in without the password, and listens on loopback alone', async () => {
  const server = await start();
  const withoutPassword = new URL(server.url);
  withoutPassword.password = 'wrong';
  await expect(rows(withoutPassword.href, 'SELECT 1')).rejects.toThrow(/password authentication failed/);
  expect(await rows(server.url, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
  await server.stop();
});

test('leaves no secret where others can read it', async () => {
  const server = await start();
  const dataDir = join(folder, 'data');
  const password = new URL(server.url).password;
  expect((await readFile(join(dataDir, 'keys', 'postgres-password'), 'utf8')).trim()).toBe(password);
  expect((await stat(join(dataDir, 'keys', 'postgres-password'))).mode & 0o077).toBe(0);
  expect((await stat(join(dataDir, 'keys'))).mode & 0o077).toBe(0);
  expect((await stat(join(dataDir, 'postgres'))).mode & 0o077).toBe(0);
  await expect(stat(join(dataDir, 'postgres.initial-password'))).rejects.toThrow('ENOENT');
  expect(await readFile(join(dataDir, 'postgres.log'), 'utf8')).not.toContain(password);
  await server.stop();
});

test('starts again after its owner was killed and the server was left behind', async () => {
  const program = `
    const { LocalPostgres } = await import('./src/local/postgres.ts');
    const server = await LocalPostgres.start({ dataDir: ${JSON.stringify(join(folder, 'data'))}, maxConnections: 20, durable: true });
    process.stdout.write(server.url);`;
  const owner = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [printed] = (await once(owner.stdout, 'data')) as [Buffer];
  const leftUrl = printed.toString();
  await rows(leftUrl, 'CREATE TABLE kept AS SELECT 7 AS n');
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  expect(await rows(leftUrl, 'SELECT n FROM kept')).toEqual([{ n: 7 }]);

  const server = await start();
  expect(await rows(server.url, 'SELECT n FROM kept')).toEqual([{ n: 7 }]);
  await expect(rows(leftUrl, 'SELECT 1')).rejects.toThrow();
  await server.stop();
});

test('takes no stranger for its own server when numbers were reused', async () => {
  const first = await start();
  await first.stop();
  // The number of a living process that is no PostgreSQL: this one.
  await writeFile(
    join(folder, 'data', 'postgres', 'postmaster.pid'),
    `${process.pid}\n/nowhere\n0\n0\n\n127.0.0.1\n\nready\n`,
  );

  const second = await start();
  await second.stop();
});

test('ends a start that is under way when told to', async () => {
  const stopping = new AbortController();
  const started = LocalPostgres.start({
    dataDir: join(folder, 'data'),
    maxConnections: 20,
    durable: false,
    signal: stopping.signal,
  });
  stopping.abort();
  await expect(started).rejects.toThrow();

  const next = await start();
  await next.stop();
});

function start(): Promise<LocalPostgres> {
  return LocalPostgres.start({ dataDir: join(folder, 'data'), maxConnections: 20, durable: false });
}

async function rows(url: string, statement: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(statement)).rows as unknown[];
  } finally {
    await client.end();
  }
}
