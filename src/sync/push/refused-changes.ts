import type { Sql } from '../../database/sql.ts';

/** A change of a row that the upstream does not take. */
export interface RefusedChange {
  /** Rises in the order in which rows were changed. */
  id: string;
  recordId: string | null;
  rowKey: string[] | null;
  code: string;
  message: string;
  refusedAt: Date;
}

/** In the order in which they were changed, after one of them. */
export async function listRefused(
  sql: Sql,
  syncId: string,
  { after, limit }: { after: string | null; limit: number },
): Promise<RefusedChange[]> {
  return sql.query(
    `SELECT p.id, p.record_id AS "recordId", coalesce(p.row_key, r.row_key) AS "rowKey", p.code, p.message, p.parked_at AS "refusedAt"
     FROM sync_pending AS p LEFT JOIN copied_records AS r ON r.sync_id = p.sync_id AND r.record_id = p.record_id
     WHERE p.sync_id = $1 AND p.parked_at IS NOT NULL AND ($2::bigint IS NULL OR p.id > $2) ORDER BY p.id LIMIT $3`,
    [syncId, after, limit],
  );
}

/** What was captured and not looked at is not among them yet. */
export async function countUnsent(sql: Sql, syncId: string): Promise<number> {
  const [row] = await sql.query<{ count: number }[]>(
    `SELECT ((SELECT count(*) FROM sync_pending WHERE sync_id = $1 AND parked_at IS NULL)
           + (SELECT count(*) FROM sync_writes WHERE sync_id = $1))::int AS count`,
    [syncId],
  );
  return row?.count ?? 0;
}
