import { setTimeout as wait } from 'node:timers/promises';
import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import { failuresUntilTold, inWords, type Obstacles } from '../obstacles.ts';
import { pushColumns, type StoredPush } from './in-flight.ts';
import { preparePushes } from './pending-pushes.ts';
import { sendBatch, type PushCallDeps } from './push-call.ts';
import { storeResults, takeBack } from './push-results.ts';
import { countUnsent } from './refused-changes.ts';
import { SyncLost, type SyncLease } from '../sync-lease.ts';

/** How often one looks for changes without being woken. */
const lookIntervalMs = 1_000;
/** Calls of one sync that are under way at once, so that latency leaves no allowance unused. */
const maxBatchesAtOnce = 4;
/** Bounds of the wait after a failure that would meet everything; it doubles with each in a row. */
const minRetryMs = 1_000;
const maxRetryMs = 60_000;

export interface SyncPushDeps extends PushCallDeps {
  lease: SyncLease;
  obstacles: Obstacles;
  clock: Pick<Clock, 'lookEveryMs'>;
  logger: Logger;
}

/**
 * Sends what was changed in the target of one sync, while this process holds its lease. What leaves is stored first, so
 * whoever comes next, should this process die, finds it and asks what became of it before anything else is sent. Of a
 * sync that has turned to a pull only that is done, and the work ends when nothing is left.
 */
export class SyncPush {
  /** Fulfilled when the work has ended. Never rejects. */
  readonly ended: Promise<void>;
  readonly #id: string;
  readonly #deps: SyncPushDeps;
  readonly #closing = new AbortController();
  readonly #underWay = new Map<string, Promise<void>>();
  #wake: () => void = () => undefined;
  #isWoken = false;
  #failures = 0;
  /** By `performance.now()`. */
  #notBefore = 0;

  constructor(deps: SyncPushDeps) {
    this.#id = deps.lease.id;
    this.#deps = deps;
    this.ended = this.#run();
  }

  /** There may be something to send. */
  look(): void {
    this.#isWoken = true;
    this.#wake();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake();
    await this.ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        if (await this.#round()) continue;
      } catch (error) {
        if (error instanceof SyncLost) break;
        await this.#failed(inWords(error));
        this.#deps.logger.warn(
          { err: error, sync: this.#id },
          'changes could not be looked at; it will be tried again',
        );
      }
      await this.#rest();
    }
    await Promise.all(this.#underWay.values());
  }

  /** @returns whether there may be more to do now */
  async #round(): Promise<boolean> {
    const { lease } = this.#deps;
    const leftOver = await lease.sql.query<{ batch: string }[]>(
      `SELECT DISTINCT batch FROM sync_writes WHERE sync_id = $1 AND state = 'sending' LIMIT $2`,
      [this.#id, maxBatchesAtOnce * 2],
    );
    const left = leftOver.filter(({ batch }) => !this.#underWay.has(batch));
    const isWaiting = performance.now() < this.#notBefore;
    const room = isWaiting ? 0 : maxBatchesAtOnce - this.#underWay.size - left.length;
    const prepared = await lease.transaction((sql, sync) => preparePushes(sql, sync, room));
    if (prepared.isOver) this.#closing.abort();
    if (!isWaiting) for (const { batch } of left) this.#begin(batch);
    for (const batch of prepared.batches) this.#begin(batch);
    // What could not be sent may have come to nothing by itself.
    const isIdle = room === maxBatchesAtOnce && prepared.batches.length === 0;
    if (isIdle && this.#failures > 0 && (await countUnsent(lease.sql, this.#id)) === 0)
      await this.#wentWell();
    return prepared.isMore && this.#underWay.size < maxBatchesAtOnce;
  }

  #begin(batch: string): void {
    const sending = this.#send(batch)
      .catch(async (error: unknown) => {
        if (error instanceof SyncLost) return this.#closing.abort();
        await this.#failed(inWords(error));
        this.#deps.logger.warn(
          { err: error, sync: this.#id },
          'changes could not be sent; it will be tried again',
        );
      })
      .finally(() => {
        this.#underWay.delete(batch);
        this.look();
      });
    this.#underWay.set(batch, sending);
  }

  async #send(batch: string): Promise<void> {
    const { lease } = this.#deps;
    const sync = await lease.read();
    const pushes = await lease.sql.query<StoredPush[]>(
      `SELECT ${pushColumns} FROM sync_writes AS w WHERE sync_id = $1 AND batch = $2 AND state = 'sending' ORDER BY id`,
      [this.#id, batch],
    );
    const outcome = await sendBatch(this.#deps, sync, pushes, this.#closing.signal);
    if ('results' in outcome) {
      const { results } = outcome;
      const course = await lease.transaction((sql, current) => storeResults(sql, current, pushes, results));
      if (course === 'well') await this.#wentWell();
      else if (course !== 'apart') await this.#failed(course.failure);
      return;
    }
    if (outcome.error !== null) {
      await this.#failed(inWords(outcome.error));
      this.#deps.logger.info(
        { err: outcome.error, sync: this.#id },
        'changes of a sync were not sent; it will be tried again',
      );
    }
    if (!outcome.isUnclear) await lease.transaction((sql, current) => takeBack(sql, current, pushes));
  }

  async #wentWell(): Promise<void> {
    this.#failures = 0;
    await this.#tell(null);
  }

  async #failed(why: string): Promise<void> {
    this.#failures += 1;
    this.#notBefore = performance.now() + Math.min(maxRetryMs, minRetryMs * 2 ** (this.#failures - 1));
    if (this.#failures >= failuresUntilTold)
      await this.#tell(
        `Changes of the table can not be sent at the moment, and are sent as soon as that is over: ${why}`,
      );
  }

  /** What the database refuses to be told is in the log. */
  async #tell(text: string | null): Promise<void> {
    await this.#deps.obstacles.note('sending', text).catch(() => undefined);
  }

  async #rest(): Promise<void> {
    if (this.#isWoken) {
      this.#isWoken = false;
      return;
    }
    const over = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await Promise.race([
      woken,
      wait(this.#deps.clock.lookEveryMs ?? lookIntervalMs, undefined, { signal: over.signal }).catch(
        () => undefined,
      ),
    ]);
    over.abort();
    this.#isWoken = false;
  }
}
