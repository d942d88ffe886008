import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Operation } from '../calendly/operation.ts';
import { withinOperation } from '../calendly/within-operation.ts';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';

/** Subscriptions that begin at a time. */
const maxBeginning = 200;

/** … of one base: while the upstream is slow to tell of it, those of others begin. */
const maxBeginningOfBase = 20;

/** Those that wait for it; more are refused. */
const maxWaiting = 5_000;

/** When to come back, in milliseconds. */
const retryAfterMs = 5_000;

interface Waiting {
  baseId: string;
  take: () => void;
}

/**
 * Lets subscriptions begin a few at a time, in the order in which they came, and of each base fewer than in all. After a
 * deploy all come back at once; what they do together they would also do in the same turns of the event loop, and whoever
 * asks for a record meanwhile would wait for all of them.
 */
export class SubscriptionStarts {
  readonly #clock: Clock;
  readonly #waiting: Waiting[] = [];
  #beginning = 0;
  readonly #ofBase = new Map<string, number>();

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock;
  }

  /** @throws AppError SUBSCRIPTION_LIMIT when too many wait; DEADLINE_EXCEEDED; what `begin` throws */
  async run<T>(baseId: string, operation: Operation, begin: () => Promise<T>): Promise<T> {
    await this.#place(baseId, operation);
    try {
      return await begin();
    } finally {
      void this.#pass(baseId);
    }
  }

  async #place(baseId: string, operation: Operation): Promise<void> {
    if (this.#beginning < maxBeginning && this.#hasRoom(baseId)) {
      this.#occupy(baseId);
      return;
    }
    if (this.#waiting.length >= maxWaiting) throw tooMany();
    const waiting: Waiting = { baseId, take: () => undefined };
    const taken = new Promise<void>((resolve) => (waiting.take = resolve));
    this.#waiting.push(waiting);
    try {
      await withinOperation(taken, operation, this.#clock);
    } catch (error) {
      const at = this.#waiting.indexOf(waiting);
      if (at !== -1) this.#waiting.splice(at, 1);
      // It was given a place as it gave up.
      else void this.#pass(baseId);
      throw error;
    }
  }

  /** Others get their turn before the next one begins. */
  async #pass(baseId: string): Promise<void> {
    await nextTurn();
    this.#beginning -= 1;
    const others = (this.#ofBase.get(baseId) ?? 0) - 1;
    if (others > 0) this.#ofBase.set(baseId, others);
    else this.#ofBase.delete(baseId);
    const at = this.#waiting.findIndex((waiting) => this.#hasRoom(waiting.baseId));
    const [next] = at === -1 ? [] : this.#waiting.splice(at, 1);
    if (!next) return;
    this.#occupy(next.baseId);
    next.take();
  }

  #hasRoom(baseId: string): boolean {
    return (this.#ofBase.get(baseId) ?? 0) < maxBeginningOfBase;
  }

  #occupy(baseId: string): void {
    this.#beginning += 1;
    this.#ofBase.set(baseId, (this.#ofBase.get(baseId) ?? 0) + 1);
  }
}

function tooMany(): AppError {
  return new AppError(
    'SUBSCRIPTION_LIMIT',
    `${maxWaiting} subscriptions wait to begin on this instance. Subscribe again in ${retryAfterMs / 1_000} seconds, with the cursor that you have.`,
    { details: { max: maxWaiting, retryAfterMs } },
  );
}
