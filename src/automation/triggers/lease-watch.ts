import { performance } from 'node:perf_hooks';

/** So long after the last renewal nothing is begun any more: somebody else may be about to. In milliseconds. */
const surelyHeldMs = 10_000;

/**
 * Whether leases that a process took are surely still its own, by its own clock and without asking. They are not once it
 * has stood still, or missed the database, for long enough that they may have run out meanwhile; those are not its own
 * again when a later renewal succeeds.
 */
export class LeaseWatch {
  readonly #now: () => number;
  #renewedAt: number;
  /** What was taken before may have been lost. */
  #lapsedAt = -Infinity;

  /** @param now a clock that only goes forward, in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#renewedAt = now();
  }

  /** To be read before leases are asked for: they last from then on at least. */
  get moment(): number {
    return this.#now();
  }

  /** @param since the moment before the leases were renewed */
  renewed(since: number): void {
    if (since - this.#renewedAt > surelyHeldMs) this.#lapsedAt = since;
    this.#renewedAt = since;
  }

  /** @param takenAt the moment before the lease was taken */
  surelyHolds(takenAt: number): boolean {
    return takenAt >= this.#lapsedAt && this.#now() - Math.max(takenAt, this.#renewedAt) < surelyHeldMs;
  }
}
