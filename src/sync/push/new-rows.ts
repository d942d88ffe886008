import type { EntityManager } from 'typeorm';
import { keyGivenBy } from '../merge/claimed-creations.ts';
import { livingColumns, type Sync } from '../sync.ts';
import { keyText } from '../target/local-rows.ts';
import type { Cells } from '../values/row-writes.ts';
import type { Pending } from './batches.ts';
import { passToRecord } from './outbox.ts';

/**
 * New rows have no record. One that has become a record's since it was noted as new must not make another, nor must one, in
 * a push, whose key a record without a row has: it is that one's.
 * @returns the others, and what is pending of records
 */
export async function withoutOwned(
  sql: EntityManager,
  sync: Sync,
  pending: readonly Pending[],
): Promise<Pending[]> {
  const fresh = pending.filter(({ recordId }) => recordId === null);
  if (fresh.length === 0) return [...pending];
  if (sync.direction === 'push') await linkByKey(sql, sync, fresh);
  const owned = await sql.query<{ id: string; rowKey: string[]; recordId: string }[]>(
    `SELECT p.id, p.row_key AS "rowKey", r.record_id AS "recordId" FROM sync_pending AS p
       JOIN copied_records AS r ON r.sync_id = p.sync_id AND r.row_key = p.row_key
     WHERE p.id = ANY($1) AND p.sync_id = $2`,
    [fresh.map(({ id }) => id), sync.id],
  );
  if (owned.length === 0) return [...pending];
  for (const { rowKey, recordId } of owned) await passToRecord(sql, sync.id, rowKey, recordId);
  const ids = new Set(owned.map(({ id }) => id));
  return pending.filter(({ id }) => !ids.has(id));
}

/** Of several records with one key the first has the row. */
async function linkByKey(sql: EntityManager, sync: Sync, fresh: readonly Pending[]): Promise<void> {
  const columns = livingColumns(sync);
  const first = columns.find(({ column }) => column === sync.keyColumns[0]);
  if (sync.owned || !first) return;
  const candidates = await sql.query<{ recordId: string; cells: Cells }[]>(
    `SELECT record_id AS "recordId", cells FROM copied_records
     WHERE sync_id = $1 AND row_key IS NULL AND cells ->> $2 = ANY($3)
       AND NOT EXISTS (SELECT 1 FROM sync_pending AS p WHERE p.sync_id = $1 AND p.record_id = copied_records.record_id AND p.is_deleted)
     ORDER BY created_time, record_id`,
    [sync.id, first.fieldId, fresh.map(({ rowKey }) => rowKey?.[0] ?? '')],
  );
  const open = new Set(fresh.map(({ rowKey }) => keyText(rowKey ?? [])));
  for (const { recordId, cells } of candidates) {
    const key = keyGivenBy(sync, columns, cells);
    if (key === null || !open.delete(keyText(key))) continue;
    await sql.query('UPDATE copied_records SET row_key = $3 WHERE sync_id = $1 AND record_id = $2', [
      sync.id,
      recordId,
      key,
    ]);
  }
}
