import type { Operation } from '../../calendly/operation.ts';
import { withinOperation } from '../../calendly/within-operation.ts';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';

/** Pages that this process searches or sorts in copies at once, and how many more may wait for that. */
const maxAtOnce = 3;
const maxWaiting = 100;
/** When to ask again after one too many, in milliseconds. */
const retryAfterMs = 1_000;

/**
 * Turns at searching and sorting copies. That may go through all records of a table, on connections that everything else
 * needs as well: what reads records by their ids, or in the order of their creation, takes no turn.
 */
export class CopyTurns {
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock;
  }

  /** @throws AppError COPY_BUSY when too many wait, and what `work` and the end of the operation throw */
  async take<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    if (this.#running < maxAtOnce) this.#running += 1;
    else await this.#wait(operation);
    try {
      return await work();
    } finally {
      this.#passOn();
    }
  }

  #passOn(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#running -= 1;
  }

  /** Whoever ends gives its turn to the first who waits. */
  async #wait(operation: Operation): Promise<void> {
    if (this.#waiting.length >= maxWaiting) throw copyBusy('Too many reads search copies at the moment.');
    let begin: () => void = () => undefined;
    const turn = new Promise<void>((resolve) => {
      begin = resolve;
    });
    this.#waiting.push(begin);
    try {
      await withinOperation(turn, operation, this.#clock);
    } catch (error) {
      const place = this.#waiting.indexOf(begin);
      if (place >= 0) this.#waiting.splice(place, 1);
      else this.#passOn();
      throw error;
    }
  }
}

export function copyBusy(why: string): AppError {
  return new AppError('COPY_BUSY', `${why} Send the same again, or ask for less at once.`, {
    details: { retryAfterMs },
  });
}
