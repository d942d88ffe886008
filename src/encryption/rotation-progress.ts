/** Where progress is written to. */
export interface ProgressOutput {
  write(text: string): unknown;
  /** A terminal gets one line that is rewritten; a file or a pipe gets plain lines. */
  isTTY?: boolean;
}

/** A plain line is written at most this often, in milliseconds. */
const plainIntervalMs = 2_000;

const barWidth = 30;

/** Shows how far a rotation is. */
export class RotationProgress {
  readonly #output: ProgressOutput;
  #toldAt: number | null = null;
  #told = '';

  constructor(output: ProgressOutput) {
    this.#output = output;
  }

  update(done: number, total: number): void {
    if (this.#output.isTTY) {
      const filled = total === 0 ? barWidth : Math.floor((barWidth * done) / total);
      this.#output.write(
        `\r\u001b[2K${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)} ${counts(done, total)}`,
      );
      return;
    }
    const now = performance.now();
    if (done < total && this.#toldAt !== null && now - this.#toldAt < plainIntervalMs) return;
    if (counts(done, total) === this.#told) return;
    this.#toldAt = now;
    this.#told = counts(done, total);
    this.#output.write(`${this.#told}\n`);
  }

  /** A line that stays, above the bar. */
  say(line: string): void {
    this.#output.write(`${this.#output.isTTY ? '\r\u001b[2K' : ''}${line}\n`);
  }
}

function counts(done: number, total: number): string {
  return `${done} of ${total} secrets re-encrypted`;
}
