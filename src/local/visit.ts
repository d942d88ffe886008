import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../errors.ts';
import { secretFile } from './data-folder.ts';
import { FolderHold } from './holder.ts';
import { findPostgresPlace } from './postgres-place.ts';
import { LocalPostgres, localUrl } from './postgres.ts';
import { isServerOf } from './process-identity.ts';
import { readServerLock } from './server-lock.ts';

/** Connections beside the visitor's own, such as a person with psql. */
const maxConnections = 20;

/**
 * Opens the local database for a short visit: the server that runs, or one that is started for the visit alone. It
 * takes the data folder then, so a start in the meantime is refused instead of running two servers on the same files.
 * @throws AppError when nothing was ever started from the folder, or something is being started from it.
 */
export async function visitLocalDatabase(
  dataDir: string,
): Promise<{ url: string; leave: () => Promise<void> }> {
  const password = await keptPassword(dataDir);
  if (password === null) throw nothingThere(dataDir);
  const { home } = await findPostgresPlace(dataDir, password);
  const cluster = join(home, 'postgres');
  if (
    !(await stat(cluster).then(
      () => true,
      () => false,
    ))
  )
    throw nothingThere(dataDir);
  const lock = await readServerLock(cluster);
  if (lock?.status === 'ready' && (await isServerOf(cluster, lock.pid)))
    return { url: localUrl(password, lock.port), leave: () => Promise.resolve() };

  const hold = await FolderHold.take(dataDir);
  try {
    const postgres = await LocalPostgres.start({ dataDir, maxConnections, durable: true });
    return {
      url: postgres.url,
      leave: async () => {
        await postgres.stop();
        await hold.release();
      },
    };
  } catch (error) {
    await hold.release();
    throw error;
  }
}

async function keptPassword(dataDir: string): Promise<string | null> {
  const file = secretFile(dataDir, 'postgres-password');
  try {
    return (await readFile(file, 'utf8')).trim() || null;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw new AppError('INTERNAL', `${file} cannot be read (${code}). Run this as the user who owns it.`, {
      cause,
    });
  }
}

function nothingThere(dataDir: string): AppError {
  return new AppError(
    'INTERNAL',
    `There is no database in the data folder ${dataDir}, and DATABASE_URL is not set. Run npm start once, or set DATABASE_URL (or DATA_DIR, if the data lies elsewhere).`,
  );
}
