import type { Sql } from '../../database/sql.ts';
import { jsonText } from '../../changes/json-text.ts';
import type { RowRefusal } from './row-refusal.ts';

/** A record whose row the target refused. */
export interface ParkedRecord extends RowRefusal {
  parkedAt: Date;
}

/** In the caller's transaction: what was refused is parked, and what got through is no longer. */
export async function park(
  sql: Sql,
  syncId: string,
  { refused, passed, at }: { refused: readonly RowRefusal[]; passed: readonly string[]; at: Date },
): Promise<void> {
  if (passed.length > 0)
    await sql.query('DELETE FROM sync_parked WHERE sync_id = $1 AND record_id = ANY($2)', [syncId, passed]);
  if (refused.length === 0) return;
  await sql.query(
    `INSERT INTO sync_parked (sync_id, record_id, code, message, column_name, constraint_name, row_key, parked_at)
     SELECT $1, r."recordId", r.code, r.message, r.column, r.constraint, r."rowKey", $3
     FROM jsonb_to_recordset($2::jsonb) AS r("recordId" text, code text, message text, "column" text, "constraint" text, "rowKey" text[])
     ON CONFLICT (sync_id, record_id) DO UPDATE SET code = excluded.code, message = excluded.message,
       column_name = excluded.column_name, constraint_name = excluded.constraint_name, row_key = excluded.row_key`,
    [syncId, jsonText(refused), at],
  );
}

/** In the order of record ids, after one of them. @param codes only what was refused with one of these SQLSTATEs */
export async function listParked(
  sql: Sql,
  syncId: string,
  { after, limit, codes = null }: { after: string | null; limit: number; codes?: readonly string[] | null },
): Promise<ParkedRecord[]> {
  return sql.query(
    `SELECT record_id AS "recordId", code, message, column_name AS "column", constraint_name AS "constraint", row_key AS "rowKey",
            parked_at AS "parkedAt"
     FROM sync_parked WHERE sync_id = $1 AND ($2::text IS NULL OR record_id > $2) AND ($4::text[] IS NULL OR code = ANY($4))
     ORDER BY record_id LIMIT $3`,
    [syncId, after, limit, codes],
  );
}

export async function countParked(sql: Sql, syncId: string): Promise<number> {
  const [row] = await sql.query<{ count: number }[]>(
    'SELECT count(*)::int AS count FROM sync_parked WHERE sync_id = $1',
    [syncId],
  );
  return row?.count ?? 0;
}
