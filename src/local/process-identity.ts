import { execFile } from 'node:child_process';
import { readFile, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * What tells a process from a later one with the same number: when it began. Numbers are reused, all the more in a
 * container, where the same program tends to get the same number at every start.
 * @returns an opaque text that stays the same for the life of the process, or null when no such process lives.
 */
export async function processIdentity(pid: number): Promise<string | null> {
  if (process.platform === 'linux') {
    const [stat, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null),
      readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
    ]);
    if (stat === null) return null;
    // The name in parentheses may hold spaces: the fixed columns begin behind the last parenthesis, with column 3.
    const columns = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const isZombie = columns[0] === 'Z';
    return isZombie ? null : `${boot.trim()}:${columns[19]}`;
  }
  const answer = await run('ps', ['-o', 'lstart=', '-p', String(pid)]).catch(() => null);
  return answer?.stdout.trim() || null;
}

/** Whether `pid` is a PostgreSQL server of this cluster: a server works inside its cluster's folder. */
export async function isServerOf(clusterDir: string, pid: number): Promise<boolean> {
  if (process.platform === 'linux') {
    const folder = await readlink(`/proc/${pid}/cwd`).catch(() => null);
    return folder === clusterDir && (await processIdentity(pid)) !== null;
  }
  const answer = await run('ps', ['-o', 'command=', '-p', String(pid)]).catch(() => null);
  return answer !== null && answer.stdout.includes(clusterDir);
}
