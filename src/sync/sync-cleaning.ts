import type { DataSource } from 'typeorm';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { pruneConflicts } from './merge/conflicts.ts';
import { removeStrayCaptures } from './push/capture.ts';

/** How often what nobody needs any more is looked for, in milliseconds. */
const cleaningIntervalMs = 10 * 60_000;

/** Removes what syncs that are gone have left, and conflicts that are old. */
export class SyncCleaning {
  readonly #deps: { database: DataSource; clock: Clock; logger: Logger };
  /** By `performance.now()`. */
  #cleanedAt = -cleaningIntervalMs;
  #underWay: Promise<void> = Promise.resolve();
  /** Triggers of which it was told that they can not be removed: that may be so for as long as their table has its owner. */
  #told: ReadonlySet<string> = new Set();

  constructor(deps: { database: DataSource; clock: Clock; logger: Logger }) {
    this.#deps = deps;
  }

  /** Fulfilled when none is under way. */
  get idle(): Promise<void> {
    return this.#underWay;
  }

  /** Does nothing unless it is time. */
  look(): void {
    if (performance.now() - this.#cleanedAt > cleaningIntervalMs) this.#underWay = this.#clean();
  }

  async #clean(): Promise<void> {
    this.#cleanedAt = performance.now();
    const { database, clock, logger } = this.#deps;
    const onFailure = (error: unknown, of: object = {}) =>
      logger.warn({ err: error, ...of }, 'what syncs have left could not be removed; it will be tried again');
    const stuck = new Set<string>();
    await removeStrayCaptures(database, (error, trigger) => {
      const name = `${trigger.table} ${trigger.name}`;
      stuck.add(name);
      if (!this.#told.has(name)) onFailure(error, trigger);
    }).catch(onFailure);
    this.#told = stuck;
    await pruneConflicts(database, new Date(clock.now())).catch(onFailure);
  }
}
