import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import { inWords, type Obstacles } from '../obstacles.ts';
import type { Sync } from '../sync.ts';

/** Bounds of the wait after a failure, in milliseconds; it doubles with each in a row. */
const minRetryMs = 1_000;
const maxRetryMs = 60_000;

export interface ReconcileWhenDueDeps {
  /** @returns how many records differed */
  reconcile: () => Promise<number>;
  /** Hours after which a table is read again, to find what differs; 0 for never. */
  reconcileHours: number;
  /** Told of a failure. @returns whether it is to be tried again */
  goesOnAfter: (error: unknown) => Promise<boolean>;
  /** To be called when it is not. */
  end: () => void;
  obstacles: Obstacles;
  clock: Clock;
  logger: Logger;
}

/** Has a table read again beside following it: when it was asked for, when that is necessary, and every so many hours. */
export class ReconcileWhenDue {
  readonly #id: string;
  readonly #deps: ReconcileWhenDueDeps;
  #underWay: Promise<void> | null = null;
  #failures = 0;
  #notBefore = 0;

  constructor(id: string, deps: ReconcileWhenDueDeps) {
    this.#id = id;
    this.#deps = deps;
  }

  /** Fulfilled when none is under way. */
  get idle(): Promise<void> {
    return this.#underWay ?? Promise.resolve();
  }

  look(sync: Sync): void {
    if (this.#underWay || this.#deps.clock.now() < this.#notBefore || !this.#isDue(sync)) return;
    this.#underWay = this.#run().finally(() => {
      this.#underWay = null;
    });
  }

  #isDue({ rereadBecause, runFinishedAt }: Sync): boolean {
    const { clock, reconcileHours } = this.#deps;
    if (rereadBecause !== null || runFinishedAt === null) return true;
    return reconcileHours > 0 && clock.now() - runFinishedAt.getTime() > reconcileHours * 3_600_000;
  }

  async #run(): Promise<void> {
    const { reconcile, goesOnAfter, end, obstacles, clock, logger } = this.#deps;
    try {
      const found = await reconcile();
      this.#failures = 0;
      await obstacles.note('reading', null);
      logger.info({ sync: this.#id, found }, 'a sync has read its table again');
    } catch (error) {
      this.#failures += 1;
      this.#notBefore = clock.now() + Math.min(maxRetryMs, minRetryMs * 2 ** (this.#failures - 1));
      if (!(await goesOnAfter(error))) return end();
      await obstacles.note('reading', inWords(error)).catch(() => undefined);
    }
  }
}
