import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '../errors.ts';
import type { PostgresPlace } from './postgres-place.ts';

/** Who owns the cluster and everything in it. */
export const roleName = 'omnera';
/** Of what a program of PostgreSQL wrote last, in characters. */
export const maxShownOutput = 2_000;

/** Makes a data folder; one that was begun and not finished is made anew. */
export async function createCluster(
  place: PostgresPlace,
  cluster: string,
  password: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const unfinished = `${cluster}.unfinished`;
  const passwordFile = join(place.home, 'postgres.initial-password');
  await rm(unfinished, { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600, flag: 'wx' });
  try {
    if (place.user) {
      await chown(unfinished, place.user.uid, place.user.gid);
      await chown(passwordFile, place.user.uid, place.user.gid);
    }
    await runInitdb(place, signal, [
      `--pgdata=${unfinished}`,
      `--username=${roleName}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      // PostgreSQL's own locale: the same order of text on every machine, whatever locales it has.
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--no-sync',
    ]);
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rename(unfinished, cluster);
}

async function runInitdb(
  place: PostgresPlace,
  signal: AbortSignal | undefined,
  flags: string[],
): Promise<void> {
  const program = join(place.programs, 'bin', 'initdb');
  const child = spawn(program, flags, {
    ...place.user,
    ...(signal ? { signal } : {}),
    cwd: '/',
    env: programEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-maxShownOutput);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const [code] = (await once(child, 'close').catch((cause: unknown) => {
    throw new AppError('INTERNAL', `PostgreSQL's initdb cannot be run (${program})`, { cause });
  })) as [number | null];
  if (code !== 0) {
    throw new AppError(
      'INTERNAL',
      `PostgreSQL could not create its data folder. If libraries are missing, run: npm rebuild. Its last words:\n${output.trim()}`,
    );
  }
}

/** Nothing of our environment reaches the server: it may hold secrets, and PostgreSQL reads several PG* variables. */
export function programEnvironment(): Record<string, string> {
  return { LC_ALL: 'C', TMPDIR: tmpdir() };
}
