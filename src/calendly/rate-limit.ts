import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { Lane } from './lane.ts';
import type { Operation } from './operation.ts';
import type { Permission } from './permission.ts';
import type { Permits } from './permits.ts';

/** A shorter rest after a 429 is none: the upstream has named no time, or one that our clock has passed already. */
const minRestMs = 1_000;
/** Lanes that are kept before idle ones are cleared away. */
const maxIdleLanes = 1_000;
/** How often each process clears away the budgets that nobody uses any more, in milliseconds; as it goes along. */
const pruneIntervalMs = 60 * 60_000;

export interface RateLimiterOptions {
  permits: Permits;
  /** Milliseconds that a base rests after a 429 that does not say how long, or less than a second. */
  penaltyMs: number;
  clock: Clock;
  logger: Logger;
}

/**
 * Keeps all instances together within the upstream's allowance: each budget has a lane in this process, and the lanes of
 * all processes draw on the same log of sendings. Nothing is sent without a permission from here.
 */
export class RateLimiter {
  readonly #options: RateLimiterOptions;
  readonly #lanes = new Map<string, Lane>();
  #prunedAt: number;
  #closed = false;

  constructor(options: RateLimiterOptions) {
    this.#options = options;
    this.#prunedAt = options.clock.now();
  }

  /** How many calls wait in this process. */
  get waiting(): number {
    let sum = 0;
    for (const lane of this.#lanes.values()) sum += lane.waiting;
    return sum;
  }

  /**
   * @param key `base:<id>`, or `connection:<id>` for calls without a base
   * @throws AppError UPSTREAM_RATE_LIMITED with `retryAfterMs`, as soon as it is known that the deadline can't be kept;
   *   DEADLINE_EXCEEDED, DATABASE_UNAVAILABLE, SHUTTING_DOWN; or the reason of the operation's abort
   */
  acquire(key: string, operation: Operation): Promise<Permission> {
    this.#pruneSometimes();
    return this.#lane(key).enter(operation);
  }

  /** After a 429: the whole budget rests, in every instance. Answers for how long. */
  async pause(key: string, retryAfterMs: number | null): Promise<number> {
    const ms = retryAfterMs !== null && retryAfterMs >= minRestMs ? retryAfterMs : this.#options.penaltyMs;
    await this.#lane(key).rest(ms);
    return ms;
  }

  /** The upstream gave an answer of its own, whatever it was. */
  answered(key: string): void {
    this.#lanes.get(key)?.answered();
  }

  /** No connection, no answer, or that of a gateway. */
  failed(key: string): void {
    this.#lane(key).failed();
  }

  /** Turns everyone away who waits, and all who come. */
  close(): void {
    this.#closed = true;
    for (const lane of this.#lanes.values()) lane.close();
  }

  #pruneSometimes(): void {
    const { clock, permits, logger } = this.#options;
    if (clock.now() - this.#prunedAt < pruneIntervalMs) return;
    this.#prunedAt = clock.now();
    permits
      .prune()
      .catch((error: unknown) => logger.warn({ err: error }, 'Unused budgets could not be cleared away'));
  }

  #lane(key: string): Lane {
    const known = this.#lanes.get(key);
    if (known) return known;
    if (this.#lanes.size >= maxIdleLanes) {
      for (const [other, lane] of this.#lanes) if (lane.isIdle) this.#lanes.delete(other);
    }
    const lane = new Lane(key, this.#options.permits, this.#options.clock, this.#options.logger);
    if (this.#closed) lane.close();
    this.#lanes.set(key, lane);
    return lane;
  }
}
