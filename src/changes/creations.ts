import type { DataSource } from 'typeorm';
import { findFeed } from './feed.ts';

/** A record that the log saw come to life. */
export interface Creation {
  recordId: string;
  /** All non-empty cells right after, by field id. */
  cells: Record<string, unknown>;
}

/** Creations that are looked through for one question. */
const maxCreations = 2_000;

/**
 * What was created in a table through the upstream's API between two moments. Null when the log cannot say: there is no
 * webhook, changes of that time may have been lost, or there are too many.
 */
export async function creationsBetween(
  database: Pick<DataSource, 'query'>,
  place: { connectionId: number; baseId: string; tableId: string },
  since: Date,
  until: Date,
): Promise<Creation[] | null> {
  const [connection] = await database.query<{ client_id: string }[]>(
    'SELECT client_id FROM connections WHERE id = $1',
    [place.connectionId],
  );
  const feed = connection && (await findFeed(database, connection.client_id, place.baseId));
  if (!feed) return null;
  const rows = await database.query<
    { kind: string; record_id: string; cells: Record<string, unknown> | null }[]
  >(
    `SELECT kind, record_id, cells FROM changes
     WHERE feed_id = $1 AND logged_at >= $3 AND (kind = 'lost'
           OR kind = 'created' AND table_id = $2 AND source = 'publicApi' AND occurred_at BETWEEN $3 AND $4)
     ORDER BY generation, payload, ordinal LIMIT $5`,
    [feed.id, place.tableId, since, until, maxCreations + 1],
  );
  if (rows.length > maxCreations || rows.some(({ kind }) => kind === 'lost')) return null;
  return rows.map(({ record_id, cells }) => ({ recordId: record_id, cells: cells ?? {} }));
}
