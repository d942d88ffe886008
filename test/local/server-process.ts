import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { environment } from '../../src/environment.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const asPeopleStartIt = [join(root, 'bin', 'run.js'), 'main'];

/** The server as a person starts it: a process of its own, with nothing set but what the test sets. */
export class ServerProcess {
  readonly #child: ChildProcess;
  #output = '';
  readonly #written = new EventEmitter();
  readonly #exit: Promise<number | null>;

  constructor(variables: Record<string, string>, args: string[] = [], program = asPeopleStartIt) {
    // Empty counts as absent, and keeps a developer's own .env from taking part.
    const unset = Object.fromEntries(Object.keys(environment.shape).map((name) => [name, '']));
    this.#child = spawn(process.execPath, [...program, ...args], {
      cwd: root,
      env: { PATH: process.env['PATH'], ...unset, ...variables },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString();
        this.#written.emit('more');
      });
    }
    this.#exit = once(this.#child, 'close').then(([code]) => code as number | null);
  }

  /** Compiled ahead, where there is a test run that has done so: the same server, sooner up. */
  static compiled(variables: Record<string, string>, args: string[] = []): ServerProcess {
    const programs = process.env['TEST_PROGRAMS'];
    return new ServerProcess(variables, args, programs ? [join(programs, 'main.mjs')] : asPeopleStartIt);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Everything written so far, on either stream. */
  get output(): string {
    return this.#output;
  }

  /** @returns the first group of the pattern. @throws with the whole output when the process ends before it was written. */
  async written(pattern: RegExp): Promise<string> {
    let hasEnded = false;
    void this.#exit.then(() => {
      hasEnded = true;
      this.#written.emit('more');
    });
    for (;;) {
      const match = pattern.exec(this.#output);
      if (match) return match[1] ?? match[0];
      if (hasEnded) throw new Error(`The server ended without writing ${pattern.source}:\n${this.#output}`);
      await once(this.#written, 'more');
    }
  }

  /** Sends the signal, if any, and waits for the end. @returns the exit code; null when a signal ended it. */
  async ended(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal) this.#child.kill(signal);
    return this.#exit;
  }
}

/** A new data folder that the database's own user can reach, too. */
export async function temporaryFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'omnera-calendly-start-'));
  await chmod(path, 0o711);
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 3 }) };
}
