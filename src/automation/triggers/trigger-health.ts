import type { DataSource } from 'typeorm';
import { restMs } from './retry-schedule.ts';

export interface Failing {
  failuresInRow: number;
  /** When the first of them happened; null without one. */
  failingSince: Date | null;
}

/** How the endpoints of triggers do, over all records. A success ends a row of failures: see `finish` of DeliveryLeases. */
export class TriggerHealth {
  readonly #database: DataSource;

  constructor(database: DataSource) {
    this.#database = database;
  }

  /** @param count failures that came together */
  async failed(triggerId: string, count: number, now: Date): Promise<Failing> {
    const [[row]] = await this.#database.query<[{ failures: number; since: Date }[], number]>(
      `UPDATE trigger_health SET failures_in_row = failures_in_row + $3, failing_since = coalesce(failing_since, $2)
       WHERE trigger_id = $1 RETURNING failures_in_row AS failures, failing_since AS since`,
      [triggerId, now, count],
    );
    const rest = restMs(row?.failures ?? 0);
    if (rest > 0) {
      await this.#database.query('UPDATE trigger_health SET rest_until = $2 WHERE trigger_id = $1', [
        triggerId,
        new Date(now.getTime() + rest),
      ]);
    }
    return { failuresInRow: row?.failures ?? 0, failingSince: row?.since ?? null };
  }

  async of(triggerId: string): Promise<Failing> {
    const [row] = await this.#database.query<Failing[]>(
      'SELECT failures_in_row AS "failuresInRow", failing_since AS "failingSince" FROM trigger_health WHERE trigger_id = $1',
      [triggerId],
    );
    return row ?? { failuresInRow: 0, failingSince: null };
  }

  async forget(triggerId: string): Promise<void> {
    await this.#database.query(
      'UPDATE trigger_health SET failures_in_row = 0, failing_since = NULL WHERE trigger_id = $1',
      [triggerId],
    );
  }

  /** Ends the rest of an endpoint, and has all that waits tried now. */
  async tryNow(triggerId: string, now: Date): Promise<void> {
    await this.#database.query('UPDATE trigger_health SET rest_until = NULL WHERE trigger_id = $1', [
      triggerId,
    ]);
    await this.hurry(triggerId, now);
  }

  /** An endpoint that was down is caught up with at once: nothing waits for the time that its failure had given it. */
  async hurry(triggerId: string, now: Date): Promise<void> {
    await this.#database.query(
      `UPDATE trigger_deliveries SET next_attempt_at = $2
       WHERE id IN (
         SELECT id FROM trigger_deliveries WHERE trigger_id = $1 AND status = 'WAITING' AND next_attempt_at > $2 ORDER BY id FOR UPDATE)`,
      [triggerId, now],
    );
  }
}
