import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';

/** Whether processes can be bound to cores here: it takes two cores and util-linux. */
export const canPin =
  cpus().length >= 2 && spawnSync('taskset', ['--version'], { stdio: 'ignore' }).status === 0;

/** The core of the server under load; everything else (load, PostgreSQL, sandbox) has the others. */
const serverCore = '0';
const otherCores = cpus().length === 2 ? '1' : `1-${cpus().length - 1}`;

/** Moves this process, and so all that it starts from now on, off the server's core. */
export function leaveServerCore(): void {
  if (canPin) spawnSync('taskset', ['-a', '-p', '-c', otherCores, String(process.pid)], { stdio: 'ignore' });
}

/** The command line that runs `command` on the server's core alone. */
export function onServerCore(command: string[]): string[] {
  return canPin ? ['taskset', '-c', serverCore, ...command] : command;
}
