import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { environment } from '../../src/environment.ts';
import { callCommand, type Command } from '../../src/local/command.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** How a command ended, and what it wrote to standard output and to standard error. */
export interface CommandEnd {
  code: number | null;
  output: string;
  notes: string;
}

/** A command of ours as a person runs it: a process of its own, with nothing set but what the test sets. */
export class CommandProcess {
  readonly ended: Promise<CommandEnd>;
  readonly #child: ChildProcess;

  /** @param name of the program, such as `keys` */
  constructor(
    name: string,
    args: string[],
    variables: Record<string, string>,
    program = ['bin/run.js', name],
  ) {
    // Empty counts as absent, and keeps a developer's own .env from taking part.
    const unset = Object.fromEntries(Object.keys(environment.shape).map((name) => [name, '']));
    const child = spawn(process.execPath, [...program, ...args], {
      cwd: root,
      env: { PATH: process.env['PATH'], ...unset, ...variables },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    let output = '';
    let notes = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (notes += chunk.toString()));
    this.ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output, notes }));
  }

  /** Compiled ahead, where there is a test run that has done so: the same program, sooner up. */
  static compiled(name: string, args: string[], variables: Record<string, string>): CommandProcess {
    const programs = process.env['TEST_PROGRAMS'];
    return new CommandProcess(name, args, variables, programs ? [`${programs}/${name}.mjs`] : undefined);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

export function runCommand(
  name: string,
  args: string[],
  variables: Record<string, string>,
): Promise<CommandEnd> {
  return new CommandProcess(name, args, variables).ended;
}

/** Runs a command without a process, which takes a fiftieth of the time: all of it but the first line of its file. */
export async function callInProcess(
  command: Command,
  args: string[],
  variables: Record<string, string>,
): Promise<CommandEnd> {
  let output = '';
  let notes = '';
  const code = await callCommand(command, args, {
    env: variables,
    stdout: { write: (text) => (output += text) },
    stderr: { write: (text) => (notes += text) },
  });
  return { code, output, notes };
}
