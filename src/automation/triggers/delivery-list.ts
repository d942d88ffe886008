import type { DataSource } from 'typeorm';
import { deliveryColumns, type Delivery, type DeliveryStatus } from './delivery.ts';

/** How long deliveries are kept once they are finished, in days. */
export const keptDays = { DELIVERED: 7, STOPPED: 7, PARKED: 30 } as const;
/** Deliveries that one call has made again. */
export const maxReplayed = 1_000;
const pruneBatchSize = 1_000;

/** How many of a trigger's deliveries are in which state. */
export type DeliveryCounts = Record<'waiting' | 'parked', number>;

/** The deliveries of triggers, for people. */
export class DeliveryList {
  readonly #database: DataSource;

  constructor(database: DataSource) {
    this.#database = database;
  }

  /** Newest first. @param before only those that came before this one */
  page(
    triggerId: string,
    { status, before, limit }: { status: DeliveryStatus | null; before: string | null; limit: number },
  ): Promise<Delivery[]> {
    return this.#database.query(
      `SELECT ${deliveryColumns} FROM trigger_deliveries AS d
       WHERE d.trigger_id = $1 AND ($2::text IS NULL OR d.status = $2) AND ($3::bigint IS NULL OR d.id < $3)
       ORDER BY d.id DESC LIMIT $4`,
      [triggerId, status, before, limit],
    );
  }

  async counts(triggerId: string): Promise<DeliveryCounts> {
    const [row] = await this.#database.query<DeliveryCounts[]>(
      `SELECT count(*) FILTER (WHERE status = 'WAITING')::int AS waiting, count(*) FILTER (WHERE status = 'PARKED')::int AS parked
       FROM trigger_deliveries WHERE trigger_id = $1 AND status IN ('WAITING', 'PARKED')`,
      [triggerId],
    );
    return row ?? { waiting: 0, parked: 0 };
  }

  /**
   * Has finished deliveries made once more, with their event ids and bodies and three days of their own.
   * @param eventIds which; null for the oldest that are parked
   * @returns how many, at most `maxReplayed`
   */
  async replay(triggerId: string, eventIds: readonly string[] | null, now: Date): Promise<number> {
    const [, count] = await this.#database.query<[unknown[], number]>(
      `UPDATE trigger_deliveries SET status = 'WAITING', first_attempt_at = NULL, attempts_before = attempts, next_attempt_at = $3,
              finished_at = NULL,
              -- An action is carried out anew.
              open_since = NULL, action_round = action_round + 1
       WHERE id IN (
         SELECT id FROM trigger_deliveries
         WHERE trigger_id = $1 AND CASE WHEN $2::text[] IS NULL THEN status = 'PARKED' ELSE status IN ('DELIVERED', 'PARKED') AND event_id = ANY($2) END
         ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED)`,
      [triggerId, eventIds, now, maxReplayed],
    );
    return count;
  }

  /** Forgets what has been finished for long, a batch at a time. Any number of instances may do so at once. */
  async prune(now: number, signal: AbortSignal): Promise<void> {
    for (const [status, days] of Object.entries(keptDays)) {
      for (let deleted = pruneBatchSize; deleted === pruneBatchSize && !signal.aborted;) {
        [, deleted] = await this.#database.query<[unknown[], number]>(
          `DELETE FROM trigger_deliveries WHERE id IN (
             SELECT id FROM trigger_deliveries WHERE status = $1 AND finished_at < $2 LIMIT $3 FOR UPDATE SKIP LOCKED)`,
          [status, new Date(now - days * 24 * 60 * 60_000), pruneBatchSize],
        );
      }
    }
  }
}
