import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { open, readFile, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import { ensureDataFolder, keptSecret } from './data-folder.ts';
import { freePort } from './ports.ts';
import { createCluster, maxShownOutput, programEnvironment, roleName } from './postgres-cluster.ts';
import { findPostgresPlace, type PostgresPlace } from './postgres-place.ts';
import { isServerOf } from './process-identity.ts';
import { readServerLock } from './server-lock.ts';

const startTimeoutMs = 60_000;
const stopTimeoutMs = 7_000;
const startAttempts = 5;
const pollMs = 15;
/** What PostgreSQL needs at once, in bytes: one segment of its write-ahead log. */
const neededBytes = 16 * 1_024 * 1_024;

export interface LocalPostgresOptions {
  dataDir: string;
  maxConnections: number;
  /** False only for tests: a crash of the machine may lose data, and everything is several times faster. */
  durable: boolean;
  /** Ends a start that is under way. */
  signal?: AbortSignal;
}

/**
 * A PostgreSQL of our own. It listens on loopback alone, under a port that was free and a random password.
 *
 * Its life: no cluster → `initdb` into a folder under another name → renamed when whole → server started → ready once
 * `postmaster.pid` says so (the file by which `pg_ctl` waits, too) → stopped with SIGINT, PostgreSQL's fast shutdown.
 * A server that outlived a killed process of ours is found by the same file and stopped before a new one starts.
 */
export class LocalPostgres {
  /** With the password in it: for the driver, never for a log. */
  readonly url: string;
  readonly place: PostgresPlace;
  /** Fulfilled when the server has ended, whoever ended it. */
  readonly ended: Promise<void>;
  readonly #process: ChildProcess;

  private constructor(url: string, place: PostgresPlace, server: ChildProcess, ended: Promise<void>) {
    this.url = url;
    this.place = place;
    this.#process = server;
    this.ended = ended;
  }

  static async start(options: LocalPostgresOptions): Promise<LocalPostgres> {
    await ensureDataFolder(options.dataDir);
    const password = await keptSecret(options.dataDir, 'postgres-password', () =>
      randomBytes(24).toString('hex'),
    );
    const place = await findPostgresPlace(options.dataDir, password);
    const cluster = join(place.home, 'postgres');
    if (!(await exists(cluster))) await createCluster(place, cluster, password, options.signal);
    await stopLeftoverServer(cluster);

    let lastOutput = '';
    for (let attempt = 1; attempt <= startAttempts; attempt++) {
      const port = await freePort();
      const log = join(place.home, 'postgres.log');
      const { server, ended } = await launch(place, cluster, port, log, options);
      if (await becomesReady(cluster, server, ended, options.signal)) {
        return new LocalPostgres(localUrl(password, port), place, server, ended);
      }
      options.signal?.throwIfAborted();
      lastOutput = (await readFile(log, 'utf8').catch(() => '')).slice(-maxShownOutput).trim();
      // Somebody took the port in between, or the last workers of a killed server still hold its shared memory.
      await wait(200 * attempt);
    }
    const room = (await hasRoom(place.home)) ? '' : ' The disk is full: make room, and start again.';
    throw new AppError('INTERNAL', `PostgreSQL in ${cluster} does not start.${room}\n${lastOutput}`);
  }

  /** Ends open transactions and connections, writes everything to disk, and ends the server. */
  async stop(): Promise<void> {
    this.#process.kill('SIGINT');
    await Promise.race([this.ended, wait(stopTimeoutMs, undefined, { ref: false })]);
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#process.kill('SIGQUIT');
    await this.ended;
  }
}

/** With the password in it: for the driver, never for a log. */
export function localUrl(password: string, port: number): string {
  return `postgres://${roleName}:${password}@127.0.0.1:${port}/postgres`;
}

async function launch(
  place: PostgresPlace,
  cluster: string,
  port: number,
  log: string,
  options: LocalPostgresOptions,
): Promise<{ server: ChildProcess; ended: Promise<void> }> {
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: options.maxConnections,
    timezone: 'UTC',
    log_timezone: 'UTC',
    jit: 'off',
    // Errors of statements reach their caller. In the log they would only put data next to the data.
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    log_checkpoints: 'off',
    ...(options.durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const output = await open(log, 'w', 0o600);
  const server = spawn(join(place.programs, 'bin', 'postgres'), ['-D', cluster, ...flags], {
    ...place.user,
    cwd: '/',
    env: programEnvironment(),
    stdio: ['ignore', output.fd, output.fd],
    // Its own session: Ctrl-C in a terminal reaches us alone, and the server is stopped in its turn.
    detached: true,
  });
  // However our process ends, the server is told to end as well, in order.
  const tell = (): void => void server.kill('SIGINT');
  process.once('exit', tell);
  const ended = new Promise<void>((resolve) => {
    server.once('exit', () => resolve());
    server.once('error', () => resolve());
  }).then(() => void process.off('exit', tell));
  await output.close();
  return { server, ended };
}

async function becomesReady(
  cluster: string,
  server: ChildProcess,
  ended: Promise<void>,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  let hasEnded = false;
  void ended.then(() => (hasEnded = true));
  const deadline = Date.now() + startTimeoutMs;
  while (!hasEnded && !signal?.aborted && Date.now() < deadline) {
    const lock = await readServerLock(cluster);
    if (lock?.pid === server.pid && lock?.status === 'ready') return true;
    await wait(pollMs);
  }
  if (!hasEnded) server.kill('SIGQUIT');
  await ended;
  return false;
}

/** Stops the server of an earlier process of ours that was killed, or forgets the file that such a server left. */
export async function stopLeftoverServer(cluster: string): Promise<void> {
  const lock = await readServerLock(cluster);
  if (!lock) return;
  const deadline = Date.now() + stopTimeoutMs;
  let signal: NodeJS.Signals = 'SIGINT';
  while (await isServerOf(cluster, lock.pid)) {
    if (Date.now() > deadline) signal = 'SIGKILL';
    trySignal(lock.pid, signal);
    await wait(50);
  }
  // PostgreSQL refuses to start while any process at all has the number in this file.
  await rm(join(cluster, 'postmaster.pid'), { force: true });
}

function trySignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended between the look and the signal.
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** On a full disk PostgreSQL cannot even write down why it ended. */
async function hasRoom(folder: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize >= neededBytes;
}
