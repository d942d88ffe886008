import { fork, type ChildProcess } from 'node:child_process';
import { readFile, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { AppError } from '../errors.ts';
import { writeWhole } from './data-folder.ts';
import { processIdentity } from './process-identity.ts';

/** Beside us where everything is compiled into one folder (bin/compile.js), else as it is written. */
const program = import.meta.url.endsWith('.ts')
  ? { url: new URL('../../sandbox/main.ts', import.meta.url), execArgv: ['--import', 'tsx'] }
  : { url: new URL('./sandbox.mjs', import.meta.url), execArgv: ['--enable-source-maps'] };
const startTimeoutMs = 60_000;
const stopTimeoutMs = 3_000;

/**
 * The bundled imitation of the upstream, as a process of its own: it shares neither memory nor code with the server,
 * which reaches it by HTTP only, like any other upstream.
 */
export class SandboxProcess {
  readonly url: string;
  /** Fulfilled when it has ended, whoever ended it. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #card: string;

  private constructor(url: string, child: ChildProcess, ended: Promise<void>, card: string) {
    this.url = url;
    this.ended = ended;
    this.#child = child;
    this.#card = card;
  }

  static async start(options: {
    dataDir: string;
    port: number;
    signal: AbortSignal;
  }): Promise<SandboxProcess> {
    const folder = join(options.dataDir, 'sandbox');
    const card = join(folder, 'process.json');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await stopLeftover(card);

    const child = fork(fileURLToPath(program.url), [], {
      execArgv: program.execArgv,
      cwd: dirname(fileURLToPath(program.url)),
      // Nothing else of our environment: it may hold secrets, and the sandbox must not know what a stranger could not.
      env: { SANDBOX_PORT: String(options.port), SANDBOX_DATA_DIR: folder, TMPDIR: tmpdir() },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // Its own session: Ctrl-C in a terminal reaches us alone, and the sandbox is stopped in its turn.
      detached: true,
    });
    const kill = (): void => void child.kill('SIGKILL');
    process.once('exit', kill);
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    }).then(() => void process.off('exit', kill));
    try {
      if (child.pid)
        await writeWhole(
          card,
          JSON.stringify({ pid: child.pid, identity: await processIdentity(child.pid) }),
        );
      const url = await readiness(child, ended, options.signal);
      return new SandboxProcess(url, child, ended, card);
    } catch (error) {
      kill();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await Promise.race([this.ended, wait(stopTimeoutMs, undefined, { ref: false })]);
    this.#child.kill('SIGKILL');
    await this.ended;
    await rm(this.#card, { force: true });
  }
}

async function readiness(child: ChildProcess, ended: Promise<void>, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void =>
      reject(new AppError('INTERNAL', `The sandbox ${why}. Its own words are above.`));
    const timer = setTimeout(() => fail(`was not ready within ${startTimeoutMs / 1_000} s`), startTimeoutMs);
    timer.unref();
    signal.addEventListener('abort', () => fail('was stopped'), { once: true });
    void ended.then(() => fail('ended while starting'));
    child.on('message', (message: unknown) => {
      const url = readyUrl(message);
      if (url === null) return;
      clearTimeout(timer);
      resolve(url);
    });
  });
}

function readyUrl(message: unknown): string | null {
  const { ready } = (message ?? {}) as { ready?: { url?: unknown } };
  return typeof ready?.url === 'string' ? ready.url.replace(/\/+$/, '') : null;
}

/** A sandbox that outlived a killed process of ours still writes to the same files. */
async function stopLeftover(card: string): Promise<void> {
  const text = await readFile(card, 'utf8').catch(() => null);
  if (text === null) return;
  const { pid, identity } = parseCard(text);
  const deadline = Date.now() + stopTimeoutMs;
  while (pid !== null && identity !== null && (await processIdentity(pid)) === identity) {
    try {
      process.kill(pid, Date.now() < deadline ? 'SIGTERM' : 'SIGKILL');
    } catch {
      return;
    }
    await wait(50);
  }
}

function parseCard(text: string): { pid: number | null; identity: string | null } {
  try {
    const card = JSON.parse(text) as { pid?: unknown; identity?: unknown };
    return {
      pid: typeof card.pid === 'number' ? card.pid : null,
      identity: typeof card.identity === 'string' ? card.identity : null,
    };
  } catch {
    return { pid: null, identity: null };
  }
}
