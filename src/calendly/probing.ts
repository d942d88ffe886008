import { performance } from 'node:perf_hooks';

/** After this many failures in a row the upstream is taken to be down for this base … */
const failuresUntilProbing = 3;
/** … and is tried with one call in this time until one is answered. */
export const probeEveryMs = 1_000;

/** A failure so long ago, in milliseconds, says nothing about now. */
const forgottenAfterMs = 600_000;

/** Whether an upstream that has stopped answering is only tried now and then, and when next. */
export class Probing {
  #failuresInARow = 0;
  #nextAt = 0;
  #failedAt = 0;

  /** No failure since the last answer, or for long. */
  get isCalm(): boolean {
    return this.#failuresInARow === 0 || performance.now() - this.#failedAt > forgottenAfterMs;
  }

  get isOn(): boolean {
    return this.#failuresInARow >= failuresUntilProbing;
  }

  /** Until the next call may go, in milliseconds; 0 or less when it may. */
  get restMs(): number {
    return this.isOn ? this.#nextAt - performance.now() : 0;
  }

  /** A call goes out; while probing, the next one comes later. */
  sent(): void {
    if (this.isOn) this.#nextAt = performance.now() + probeEveryMs;
  }

  /** True when it begins with this failure. */
  failed(): boolean {
    this.#failuresInARow += 1;
    this.#failedAt = performance.now();
    if (this.#failuresInARow !== failuresUntilProbing) return false;
    this.sent();
    return true;
  }

  /** True when it ends with this answer. */
  answered(): boolean {
    const wasOn = this.isOn;
    this.#failuresInARow = 0;
    return wasOn;
  }
}
