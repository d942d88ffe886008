import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);
const page = readFileSync(new URL('docs/clients.md', root), 'utf8');
const longestRunMs = 20_000;
const shared = 'What they share';

/** The code of one section, by language, in the order of the page. */
export function blocksOf(heading: string, language: string): string[] {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  return [...section.matchAll(/^```(\w+)\n([\s\S]*?)^```/gm)]
    .filter(([, written]) => written === language)
    .map(([, , code = '']) => code);
}

/** The headings of the page under which there is code to run. */
export function sectionsWithCode(): string[] {
  return [...page.matchAll(/^## (.+)$/gm)]
    .map(([, heading = '']) => heading)
    .filter((heading) => heading !== shared && blocksOf(heading, 'ts').length > 0);
}

/** A section's program as a reader runs it: shared code first, in a process of its own, with the real packages. */
export class PageProgram {
  output = '';
  notes = '';
  readonly #ended: Promise<number | null>;

  private constructor(
    readonly child: ChildProcess,
    folder: string,
  ) {
    child.stdout?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (this.notes += chunk.toString()));
    this.#ended = once(child, 'close').then(async ([code]) => {
      await rm(folder, { recursive: true });
      return code as number | null;
    });
  }

  static async start(heading: string, environment: { URL: string; KEY: string }): Promise<PageProgram> {
    const folder = await mkdtemp(join(tmpdir(), 'page-program-'));
    await symlink(fileURLToPath(new URL('node_modules', root)), join(folder, 'node_modules'));
    const program = join(folder, 'program.mts');
    await writeFile(program, [...blocksOf(shared, 'ts'), ...blocksOf(heading, 'ts')].join('\n'));
    const child = spawn(process.execPath, ['--import', 'tsx', program], {
      cwd: folder,
      env: { PATH: process.env['PATH'], ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new PageProgram(child, folder);
  }

  /** What it printed, line by line, when it has come to its end. @throws Error when it failed */
  async lines(): Promise<string[]> {
    const timer = setTimeout(() => this.child.kill(), longestRunMs);
    const code = await this.#ended;
    clearTimeout(timer);
    if (code !== 0) throw new Error(`The program ended with ${code}: ${this.notes}${this.output}`);
    return this.output.trimEnd().split('\n');
  }

  /** @throws Error when it ends before it has printed `text` so many times, or does not within ten seconds */
  async printed(text: string, times = 1): Promise<void> {
    const deadline = Date.now() + 10_000;
    while (this.output.split(text).length - 1 < times) {
      if (Date.now() > deadline || this.child.exitCode !== null)
        throw new Error(`It did not print ${text}: ${this.output}${this.notes}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async stop(): Promise<void> {
    this.child.kill();
    await this.#ended;
  }
}
