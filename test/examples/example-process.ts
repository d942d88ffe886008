import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** A process of an example, as a reader starts it. */
export class ExampleProcess {
  output = '';
  notes = '';
  readonly #child;
  readonly #ended: Promise<unknown>;

  constructor(file: string, variables: Record<string, string>) {
    this.#child = spawn(process.execPath, ['--import', 'tsx', `examples/${file}`], {
      cwd: root,
      env: { PATH: process.env['PATH'], ...variables },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child.stdout.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    this.#child.stderr.on('data', (chunk: Buffer) => (this.notes += chunk.toString()));
    this.#ended = once(this.#child, 'close');
  }

  pressEnter(): void {
    this.#child.stdin.write('\n');
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null;
  }

  async stop(): Promise<void> {
    this.#child.kill();
    await this.#ended;
  }
}
