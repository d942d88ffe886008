import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { onServerCore } from './cores.ts';
import type { Ready, Setup } from './servers/serve.ts';

const startTimeoutMs = 60_000;
const stopTimeoutMs = 5_000;
const answerTimeoutMs = 60_000;
/** Of /proc/<pid>/stat; a hundred on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** A server under load, in a process and on a core of its own. */
export interface Child extends Ready {
  /** Seconds of processor time that it has used so far; null where the system does not tell. */
  cpuSeconds(): Promise<number | null>;
  /** The most bytes that the system has given it at any time so far; null where it does not tell. */
  highestRss(): Promise<number | null>;
  /** Asks for what is not served to clients: `bench/servers/answers.ts`. @throws Error when it cannot tell */
  ask<Answer>(what: string, given?: unknown): Promise<Answer>;
  stop(): Promise<void>;
}

export interface ChildOptions {
  /** Whether it gets the server's core, or stays beside us. */
  pinned: boolean;
  /** Where to leave a CPU profile of its time under load. */
  profileDir?: string | null;
}

/** Starts `bench/servers/<file>` and hands it what it needs. */
export async function startChild(
  file: string,
  setup: Setup | Record<string, never>,
  { pinned, profileDir = null }: ChildOptions,
): Promise<Child> {
  const program = fileURLToPath(new URL(`./servers/${file}`, import.meta.url));
  const line = [process.execPath, '--import', 'tsx', program];
  const [command = '', ...args] = pinned ? onServerCore(line) : line;
  const child = spawn(command, args, {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      ...(profileDir === null ? {} : { BENCH_PROFILE_DIR: profileDir }),
    },
  });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const ended = once(child, 'exit').then(() => void process.off('exit', kill));
  child.send(setup);
  const ready = await readiness(child, file);
  return {
    ...ready,
    cpuSeconds: () => cpuSeconds(child.pid),
    highestRss: () => highestRss(child.pid),
    ask: questions(child, file),
    async stop() {
      child.disconnect();
      const timer = setTimeout(kill, stopTimeoutMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

function readiness(child: ChildProcess, file: string): Promise<Ready> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`bench/servers/${file} ${why}`));
    const timer = setTimeout(() => fail(`was not ready within ${startTimeoutMs / 1_000} s`), startTimeoutMs);
    child.once('exit', () => fail('ended while starting'));
    child.once('error', (error) => fail(`could not be started: ${error.message}`));
    child.once('message', (message) => {
      clearTimeout(timer);
      resolve(message as Ready);
    });
  });
}

function questions(child: ChildProcess, file: string): Child['ask'] {
  let asked = 0;
  return <Answer>(what: string, given?: unknown) =>
    new Promise<Answer>((resolve, reject) => {
      const question = (asked += 1);
      const end = (fault: string | null, result?: unknown): void => {
        clearTimeout(timer);
        child.off('message', hear).off('exit', gone);
        if (fault === null) resolve(result as Answer);
        else reject(new Error(`bench/servers/${file}, asked for ${what}: ${fault}`));
      };
      const gone = (): void => end('it has ended');
      const hear = (message: object): void => {
        const heard = message as { question?: number; result?: unknown; fault?: string };
        if (heard.question === question) end(heard.fault ?? null, heard.result);
      };
      const timer = setTimeout(() => end('no answer'), answerTimeoutMs);
      child.on('message', hear).on('exit', gone);
      child.send({ question, what, given });
    });
}

async function highestRss(pid: number | undefined): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) * 1_024;
}

async function cpuSeconds(pid: number | undefined): Promise<number | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  if (stat === null) return null;
  // The name may hold spaces; utime and stime are the 12th and 13th behind it.
  const numbers = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(numbers[11]) + Number(numbers[12])) / ticksPerSecond;
}
