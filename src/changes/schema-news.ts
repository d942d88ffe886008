import type { DataSource } from 'typeorm';

/** By how much the clocks of this process and of the database may differ, in milliseconds. */
const clockSkewMs = 2_000;

/**
 * Whether the log has news of tables or fields from after a moment: a schema that was read before may be outdated, also
 * where another instance pulled that news. Looks through what was logged since then, so the moment should be recent.
 * @param sinceMs milliseconds since the epoch
 */
export async function hasSchemaChangedSince(
  database: Pick<DataSource, 'query'>,
  feedId: number,
  sinceMs: number,
): Promise<boolean> {
  const rows = await database.query<unknown[]>(
    `SELECT 1 FROM changes WHERE feed_id = $1 AND logged_at > $2 AND kind = 'schema' LIMIT 1`,
    [feedId, new Date(sinceMs - clockSkewMs)],
  );
  return rows.length > 0;
}
