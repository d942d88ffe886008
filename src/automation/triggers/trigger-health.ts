import type { DataSource, EntityManager } from 'typeorm';
import type { Sql } from '../../database/sql.ts';
import { failuresUntilResting, restAfter } from './retry-schedule.ts';

export interface Failing {
  failuresInRow: number;
  /** When the first of them happened; null without one. */
  failingSince: Date | null;
}

/**
 * Steps of a statement, behind one named `stored` that gives `trigger_id`, `was_taken`, `counts` (as a failure) and `at` of
 * attempts. The last of them, `judged`, has the triggers of whose endpoints something else is known now. Of what ended
 * together a success comes first.
 */
export const judgingEndpoints = `
  attempted AS (
    SELECT trigger_id, bool_or(was_taken) AS was_taken, count(*) FILTER (WHERE counts)::integer AS failures,
           min(at) FILTER (WHERE counts) AS failed_at, max(at) AS at
    FROM stored GROUP BY trigger_id
  ), locked AS (
    SELECT h.trigger_id, h.failures_in_row FROM trigger_health AS h JOIN attempted ON attempted.trigger_id = h.trigger_id
    WHERE attempted.failures > 0 OR attempted.was_taken AND h.failures_in_row > 0 ORDER BY h.trigger_id FOR UPDATE OF h
  ), counted AS (
    SELECT *, CASE WHEN was_taken THEN 0 ELSE failures_in_row END + failures AS in_row,
           was_taken AND failures_in_row >= ${failuresUntilResting} AS was_down
    FROM attempted JOIN locked USING (trigger_id)
  ), judged AS (
    UPDATE trigger_health AS h
    SET failures_in_row = counted.in_row,
        failing_since = coalesce(CASE WHEN NOT counted.was_taken THEN h.failing_since END, counted.failed_at),
        rest_until = CASE WHEN counted.in_row >= ${failuresUntilResting} THEN counted.at + ${restAfter('counted.in_row')}
                          WHEN NOT counted.was_taken THEN h.rest_until END,
        hurry_since = CASE WHEN counted.was_down THEN counted.at ELSE h.hurry_since END
    FROM counted WHERE h.trigger_id = counted.trigger_id
    RETURNING h.trigger_id, h.failures_in_row AS failures, h.failing_since, counted.was_down
  )`;

/** How the endpoints of triggers do, over all records. What deliveries tell of that is stored along with them. */
export class TriggerHealth {
  readonly #database: DataSource;

  constructor(database: DataSource) {
    this.#database = database;
  }

  async of(triggerId: string): Promise<Failing> {
    const [row] = await this.#database.query<Failing[]>(
      'SELECT failures_in_row AS "failuresInRow", failing_since AS "failingSince" FROM trigger_health WHERE trigger_id = $1',
      [triggerId],
    );
    return row ?? { failuresInRow: 0, failingSince: null };
  }

  /** Ends the rest of an endpoint, and has all that waits tried by the next `hurry`. */
  async tryNow(sql: Sql, triggerId: string, now: Date): Promise<void> {
    await sql.query('UPDATE trigger_health SET rest_until = NULL, hurry_since = $2 WHERE trigger_id = $1', [
      triggerId,
      now,
    ]);
  }

  /** The same as if nothing had failed so far: what waits has its three days before it. */
  async beginAnew(sql: EntityManager, triggerId: string, now: Date): Promise<void> {
    // Locked before the health of their endpoint, as by those that store what came of them.
    await sql.query(
      `UPDATE trigger_deliveries SET first_attempt_at = NULL, attempts_before = attempts
       WHERE id IN (
         SELECT id FROM trigger_deliveries
         WHERE trigger_id = $1 AND status = 'WAITING' AND first_attempt_at IS NOT NULL ORDER BY id FOR UPDATE)`,
      [triggerId],
    );
    await sql.query(
      'UPDATE trigger_health SET failures_in_row = 0, failing_since = NULL WHERE trigger_id = $1',
      [triggerId],
    );
    await this.tryNow(sql, triggerId, now);
  }

  /**
   * Endpoints that are back are caught up with at once: nothing waits for the time that its failure had given it. Whose
   * they are is forgotten only afterwards, so that any instance does it, should this one not come to its end.
   */
  async hurry(now: Date): Promise<void> {
    const back = await this.#database.query<{ id: string; since: Date }[]>(
      'SELECT trigger_id AS id, hurry_since AS since FROM trigger_health WHERE hurry_since IS NOT NULL ORDER BY trigger_id',
    );
    for (const { id, since } of back) {
      await this.#database.query(
        `UPDATE trigger_deliveries SET next_attempt_at = $2
         WHERE id IN (
           SELECT id FROM trigger_deliveries WHERE trigger_id = $1 AND status = 'WAITING' AND next_attempt_at > $2 ORDER BY id FOR UPDATE)`,
        [id, now],
      );
      await this.#database.query(
        'UPDATE trigger_health SET hurry_since = NULL WHERE trigger_id = $1 AND hurry_since = $2',
        [id, since],
      );
    }
  }
}
