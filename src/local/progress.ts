import { styleText } from 'node:util';

export interface ProgressOutput {
  write(text: string): unknown;
  /** A terminal gets one line that is rewritten; a file or a pipe gets plain lines. */
  isTTY?: boolean;
  hasColors?(): boolean;
}

/** `hasColors` of a terminal respects NO_COLOR, FORCE_COLOR and TERM. */
export function usesColour(output: ProgressOutput): boolean {
  return output.isTTY === true && output.hasColors?.() === true;
}

/** Tells a waiting person which steps run, and how long each took. Steps may overlap. */
export class Progress {
  readonly #output: ProgressOutput;
  readonly #running = new Set<string>();

  constructor(output: ProgressOutput) {
    this.#output = output;
  }

  async step<T>(label: string, work: Promise<T>): Promise<T> {
    const startedAt = performance.now();
    this.#running.add(label);
    if (this.#output.isTTY) this.#redraw();
    try {
      const result = await work;
      this.#running.delete(label);
      this.#line(`${this.#paint('green', '✓')} ${label}`, performance.now() - startedAt);
      return result;
    } catch (error) {
      this.#running.delete(label);
      this.#line(`${this.#paint('red', '✗')} ${label}`, performance.now() - startedAt);
      throw error;
    }
  }

  /** A fact worth knowing that is no fault, such as a port that was taken. */
  note(text: string): void {
    this.#clear();
    this.#output.write(`  ${this.#paint('yellow', '!')} ${text}\n`);
    this.#redraw();
  }

  #line(text: string, durationMs: number): void {
    this.#clear();
    this.#output.write(`  ${text} ${this.#paint('dim', `(${(durationMs / 1_000).toFixed(1)} s)`)}\n`);
    this.#redraw();
  }

  #redraw(): void {
    if (!this.#output.isTTY) return;
    this.#clear();
    if (this.#running.size > 0)
      this.#output.write(this.#paint('dim', `  … ${[...this.#running].join(', ')}`));
  }

  #clear(): void {
    if (this.#output.isTTY) this.#output.write('\r\u001b[2K');
  }

  #paint(style: 'green' | 'red' | 'yellow' | 'dim', text: string): string {
    return usesColour(this.#output) ? styleText(style, text) : text;
  }
}
