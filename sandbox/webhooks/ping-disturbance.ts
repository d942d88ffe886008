import { controlError } from '../control/control-error.ts';

/** How pings are spoiled on their way. */
export interface Disturbance {
  /** Lost on the way while the sandbox thinks they arrived: the next so many, a share of all (between 0 and 1), or all. */
  drop: number | boolean;
  /** How often each ping comes once more. */
  repeat: number;
  /** Real time before each delivery; a pair is the range of a random delay, which shuffles repeated pings. */
  delayMs: number | [number, number];
}

const MAX_REPEAT = 20;
const MAX_DELAY_MS = 600_000;

/** Losing, doubling and delaying pings, so that receivers can show that they rely on none of them. */
export class PingDisturbance {
  #present: Disturbance = { drop: 0, repeat: 0, delayMs: 0 };

  /** Changes what is named. Throws ApiError 400. */
  change(input: Record<string, unknown>): Disturbance {
    const {
      drop = this.#present.drop,
      repeat = this.#present.repeat,
      delayMs = this.#present.delayMs,
    } = input;
    if (!isDrop(drop)) throw controlError('drop must be a count, a share between 0 and 1, true or false');
    if (!isCount(repeat, MAX_REPEAT))
      throw controlError(`repeat must be a whole number from 0 to ${MAX_REPEAT}`);
    if (!isDelay(delayMs))
      throw controlError(`delayMs must be 0 to ${MAX_DELAY_MS}, or a pair [least, most] of such`);
    this.#present = { drop, repeat, delayMs };
    return this.present();
  }

  present(): Disturbance {
    return { ...this.#present };
  }

  reset(): void {
    this.#present = { drop: 0, repeat: 0, delayMs: 0 };
  }

  /** Whether the ping that is about to leave gets lost; counts it. */
  takeDrop(): boolean {
    const { drop } = this.#present;
    if (typeof drop === 'boolean') return drop;
    if (drop > 0 && drop < 1) return Math.random() < drop;
    if (drop < 1) return false;
    this.#present.drop = drop - 1;
    return true;
  }

  nextDelayMs(): number {
    const { delayMs } = this.#present;
    if (typeof delayMs === 'number') return delayMs;
    const [least, most] = delayMs;
    return least + Math.random() * (most - least);
  }
}

function isDrop(value: unknown): value is number | boolean {
  if (typeof value === 'boolean') return true;
  return typeof value === 'number' && value >= 0 && (value < 1 || Number.isSafeInteger(value));
}

function isCount(value: unknown, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max;
}

function isDelay(value: unknown): value is number | [number, number] {
  if (!Array.isArray(value)) return isCount(value, MAX_DELAY_MS);
  const [least, most] = value as unknown[];
  return value.length === 2 && isCount(most, MAX_DELAY_MS) && isCount(least, most);
}
