import type { Sql } from '../../database/sql.ts';
import type { TableSchema } from '../../bases/table-schema.ts';
import { jsonText } from '../../changes/json-text.ts';
import { withOrders, type FieldShapes } from '../../records/copies/field-shapes.ts';
import type { RunKind, Sync } from '../sync.ts';
import { slicesOf, type Slice } from './slices.ts';

export interface StoredSlice extends Slice {
  done: boolean;
  records: number;
}

/**
 * Begins to read the whole table, unless a run of that kind is under way; then that one goes on.
 * @param shapes what the fields are like before anything is read
 * @returns its number
 */
export async function beginRun(
  sql: Sql,
  sync: Sync,
  kind: RunKind,
  shapes: FieldShapes,
  now: Date,
): Promise<number> {
  if (sync.run > 0 && sync.runFinishedAt === null && sync.runKind === kind) return sync.run;
  await sql.query('DELETE FROM sync_slices WHERE sync_id = $1', [sync.id]);
  await sql.query(
    `UPDATE syncs SET run = run + 1, run_kind = $2, run_because = reread_because, reread_because = NULL, run_started_at = $3,
            run_finished_at = NULL, run_expected = NULL, run_calls = 0, run_shapes = $4, drift_found = CASE WHEN $2 = 'fill' THEN NULL ELSE 0 END
     WHERE id = $1`,
    [sync.id, kind, now, jsonText(shapes)],
  );
  return sync.run + 1;
}

export async function slicesOfRun(sql: Sql, { id, run }: Pick<Sync, 'id' | 'run'>): Promise<StoredSlice[]> {
  return sql.query(
    `SELECT slice_from AS "from", slice_to AS "to", done, records FROM sync_slices WHERE sync_id = $1 AND run = $2 ORDER BY slice_from`,
    [id, run],
  );
}

export async function addSlices(
  sql: Sql,
  { id, run }: Pick<Sync, 'id' | 'run'>,
  slices: readonly Slice[],
  expected: number | null,
): Promise<void> {
  await sql.query(
    `INSERT INTO sync_slices (sync_id, run, slice_from, slice_to, slices_of)
     SELECT $1, $2, s.from, s.to, $4 FROM jsonb_to_recordset($3::jsonb) AS s("from" integer, "to" integer)`,
    [id, run, JSON.stringify(slices), slicesOf],
  );
  await sql.query('UPDATE syncs SET run_expected = coalesce($2, run_expected) WHERE id = $1', [id, expected]);
}

/** What was read of a slice in one page. @param restarted whether it is the first of the slice */
export async function countPage(
  sql: Sql,
  { id, run }: Pick<Sync, 'id' | 'run'>,
  { from }: Slice,
  page: { records: number; calls: number; restarted: boolean; done: boolean },
): Promise<void> {
  await sql.query(
    `UPDATE sync_slices SET records = CASE WHEN $5 THEN 0 ELSE records END + $4, done = $6
     WHERE sync_id = $1 AND run = $2 AND slice_from = $3`,
    [id, run, from, page.records, page.restarted, page.done],
  );
  await sql.query('UPDATE syncs SET run_calls = run_calls + $2 WHERE id = $1', [id, page.calls]);
}

/** From now on the copy may be read as what its fields were like when the run began. */
export async function finishRun(sql: Sql, { id, run }: Pick<Sync, 'id' | 'run'>, now: Date): Promise<void> {
  await sql.query(
    'UPDATE syncs SET run_finished_at = $3, field_shapes = run_shapes, loss_accepted = false WHERE id = $1 AND run = $2',
    [id, run, now],
  );
}

/** Records are sorted by the order of choices, which may change while their cells stay what they are. */
export async function keepOrders(sql: Sql, id: string, table: TableSchema): Promise<void> {
  const [known] = await sql.query<{ field: FieldShapes | null; run: FieldShapes | null }[]>(
    'SELECT field_shapes AS field, run_shapes AS run FROM syncs WHERE id = $1',
    [id],
  );
  const ordered = (shapes: FieldShapes | null | undefined) => shapes && jsonText(withOrders(shapes, table));
  await sql.query('UPDATE syncs SET field_shapes = $2, run_shapes = $3 WHERE id = $1', [
    id,
    ordered(known?.field),
    ordered(known?.run),
  ]);
}
