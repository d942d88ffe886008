import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * What a PostgreSQL server wrote into its cluster, or null when there is no such file.
 * https://www.postgresql.org/docs/current/storage-file-layout.html: line 1 is the server's pid, 4 its port, 8 its status.
 */
export async function readServerLock(
  cluster: string,
): Promise<{ pid: number; port: number; status: string } | null> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => null);
  if (text === null) return null;
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) return null;
  return { pid, port: Number(lines[3]), status: (lines[7] ?? '').trim() };
}
