import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../errors.ts';

/** Makes the folder for everything that outlives a process. It is for its owner alone. */
export async function ensureDataFolder(dataDir: string): Promise<void> {
  // As root the database runs as another user, who must be able to pass through (0711), yet neither to list nor to read.
  const mode = process.getuid?.() === 0 ? 0o711 : 0o700;
  try {
    await mkdir(dataDir, { recursive: true, mode });
    await mkdir(join(dataDir, 'keys'), { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw unwritable(dataDir, cause);
  }
}

/** What to tell of a data folder that refuses to be written. */
export function unwritable(dataDir: string, cause: unknown): AppError {
  const { code = 'unknown' } = cause as NodeJS.ErrnoException;
  const what =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? `The disk of the data folder ${dataDir} is full (${code}). Make room, and start again.`
      : `The data folder ${dataDir} cannot be written (${code}). Set DATA_DIR to a folder of your own.`;
  return new AppError('INTERNAL', what, { cause });
}

/** Where a secret of that name is kept: readable for the owner alone. */
export function secretFile(dataDir: string, name: string): string {
  return join(dataDir, 'keys', name);
}

/** The secret of that name; made and stored at the first call, the same text ever after. */
export async function keptSecret(dataDir: string, name: string, make: () => string): Promise<string> {
  const file = secretFile(dataDir, name);
  const known = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw new AppError('INTERNAL', `${file} cannot be read (${error.code}). Start as the user who owns it.`, {
      cause: error,
    });
  });
  if (known === null) {
    const secret = make();
    await writeWhole(file, `${secret}\n`).catch((cause: unknown) => {
      throw unwritable(dataDir, cause);
    });
    return secret;
  }
  if (known.trim() !== '') return known.trim();
  throw new AppError(
    'INTERNAL',
    `${file} is empty. Restore it from a backup, or move ${dataDir} away to begin with fresh data.`,
  );
}

/** Replaces the file at once: after a crash there is the old content or the new one. Only the owner may read it. */
export async function writeWhole(file: string, content: string): Promise<void> {
  const unfinished = `${file}.${randomBytes(4).toString('hex')}`;
  const handle = await open(unfinished, 'wx', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(unfinished, file);
}

/** Bytes on disk below a folder. What cannot be read, or vanishes meanwhile, counts as nothing. */
export async function folderSize(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const sizes = await Promise.all(
    entries.map((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return folderSize(path);
      return stat(path).then(
        (found) => found.size,
        () => 0,
      );
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
