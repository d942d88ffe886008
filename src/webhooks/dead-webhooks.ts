import type { Sql } from '../database/sql.ts';

/** Twice as long as the upstream keeps what nobody pulls: seven days of life, and seven in which it can be read. */
const deadDays = 30;

/** Rows that one statement deletes. */
const pruneBatchSize = 1_000;

/**
 * Deletes rows of webhooks that never came to life or are done with, once the upstream has none of them any more: until then
 * a row tells which of those that it holds are ours and can go. That of a feed's own generation stays, however old: it
 * tells until when the log was covered, and who still listens may have it made again.
 *
 * @returns how many are gone
 */
export async function pruneDead(sql: Sql): Promise<number> {
  let total = 0;
  for (let deleted = pruneBatchSize; deleted === pruneBatchSize; total += deleted) {
    [, deleted] = await sql.query<[unknown[], number]>(
      `DELETE FROM webhooks WHERE id IN (
         SELECT w.id FROM webhooks AS w JOIN change_feeds AS f ON f.id = w.feed_id
         WHERE w.state IN ('failed', 'deleted') AND w.generation <> f.generation
           AND coalesce(w.ended_at, w.created_at) < clock_timestamp() - make_interval(days => $1)
         ORDER BY w.id LIMIT $2 FOR UPDATE OF w SKIP LOCKED)`,
      [deadDays, pruneBatchSize],
    );
  }
  return total;
}
