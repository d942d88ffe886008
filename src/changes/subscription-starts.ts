import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Operation } from '../calendly/operation.ts';
import { withinOperation } from '../calendly/within-operation.ts';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';

/** Subscriptions that begin at a time. */
const maxBeginning = 200;

/** Those that wait for it; more are refused. */
const maxWaiting = 5_000;

/** When to come back, in milliseconds. */
const retryAfterMs = 5_000;

/**
 * Lets subscriptions begin a few at a time, in the order in which they came. After a deploy all come back at once; what
 * they do together they would also do in the same turns of the event loop, and whoever asks for a record meanwhile would
 * wait for all of them.
 */
export class SubscriptionStarts {
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  #beginning = 0;

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock;
  }

  /** @throws AppError SUBSCRIPTION_LIMIT when too many wait; DEADLINE_EXCEEDED; what `begin` throws */
  async run<T>(operation: Operation, begin: () => Promise<T>): Promise<T> {
    await this.#place(operation);
    try {
      return await begin();
    } finally {
      void this.#pass();
    }
  }

  async #place(operation: Operation): Promise<void> {
    if (this.#beginning < maxBeginning) {
      this.#beginning += 1;
      return;
    }
    if (this.#waiting.length >= maxWaiting) throw tooMany();
    let take = (): void => undefined;
    const taken = new Promise<void>((resolve) => (take = resolve));
    this.#waiting.push(take);
    try {
      await withinOperation(taken, operation, this.#clock);
    } catch (error) {
      const at = this.#waiting.indexOf(take);
      if (at !== -1) this.#waiting.splice(at, 1);
      // It was given a place as it gave up.
      else void this.#pass();
      throw error;
    }
  }

  /** Others get their turn before the next one begins. */
  async #pass(): Promise<void> {
    await nextTurn();
    const next = this.#waiting.shift();
    if (next) next();
    else this.#beginning -= 1;
  }
}

function tooMany(): AppError {
  return new AppError(
    'SUBSCRIPTION_LIMIT',
    `${maxWaiting} subscriptions wait to begin on this instance. Subscribe again in ${retryAfterMs / 1_000} seconds, with the cursor that you have.`,
    { details: { max: maxWaiting, retryAfterMs } },
  );
}
