import type { DataSource } from 'typeorm';
import { failuresUntilResting, restMs } from './retry-schedule.ts';

export interface Failing {
  failuresInRow: number;
  /** When the first of them happened; null without one. */
  failingSince: Date | null;
}

/** How the endpoints of triggers do, over all records. A success ends a row of failures. */
export class TriggerHealth {
  readonly #database: DataSource;

  constructor(database: DataSource) {
    this.#database = database;
  }

  /** An endpoint that had been down is caught up with at once: nothing waits for the time that its failure had given it. */
  async succeeded(triggerId: string, now: Date): Promise<void> {
    const [[row]] = await this.#database.query<[{ before: number }[], number]>(
      `WITH old AS (SELECT trigger_id, failures_in_row FROM trigger_health WHERE trigger_id = $1 AND failures_in_row > 0 FOR UPDATE)
       UPDATE trigger_health AS h SET failures_in_row = 0, failing_since = NULL, rest_until = NULL
       FROM old WHERE h.trigger_id = old.trigger_id RETURNING old.failures_in_row AS before`,
      [triggerId],
    );
    if (row && row.before >= failuresUntilResting) await this.hurry(triggerId, now);
  }

  async failed(triggerId: string, now: Date): Promise<Failing> {
    const [[row]] = await this.#database.query<[{ failures: number; since: Date }[], number]>(
      `UPDATE trigger_health SET failures_in_row = failures_in_row + 1, failing_since = coalesce(failing_since, $2)
       WHERE trigger_id = $1 RETURNING failures_in_row AS failures, failing_since AS since`,
      [triggerId, now],
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

  /** Forgets failures, and has all that waits tried now. */
  async reset(triggerId: string, now: Date): Promise<void> {
    await this.#database.query(
      'UPDATE trigger_health SET failures_in_row = 0, failing_since = NULL, rest_until = NULL WHERE trigger_id = $1',
      [triggerId],
    );
    await this.hurry(triggerId, now);
  }

  async hurry(triggerId: string, now: Date): Promise<void> {
    await this.#database.query(
      `UPDATE trigger_deliveries SET next_attempt_at = $2 WHERE trigger_id = $1 AND status = 'WAITING' AND next_attempt_at > $2`,
      [triggerId, now],
    );
  }
}
