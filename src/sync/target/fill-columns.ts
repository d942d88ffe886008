import type { EntityManager } from 'typeorm';
import type { Cells } from '../values/row-writes.ts';
import { livingColumns, type MappedColumn, type Sync } from '../sync.ts';
import { park } from './parked-records.ts';
import { putRows } from './target-rows.ts';

/** Rows that are written with one statement. */
const batchSize = 500;

/**
 * Writes what the records hold into columns that are mapped from here on, in the transaction that maps them, where changes
 * of the target are sent: as long as such a column is empty, that looks as if somebody had emptied it.
 */
export async function fillColumns(
  sql: EntityManager,
  sync: Sync,
  columns: readonly MappedColumn[],
  now: Date,
): Promise<void> {
  if (sync.direction === 'pull') return;
  const before = new Map(livingColumns(sync).map(({ fieldId, columnType }) => [fieldId, columnType]));
  const current = { ...sync, columns: [...columns] };
  // One that was only renamed has kept its type.
  const only = livingColumns(current)
    .filter(({ fieldId, columnType }) => before.get(fieldId) !== columnType)
    .map(({ fieldId }) => fieldId);
  if (only.length === 0) return;
  for (let after: string | undefined = ''; after !== undefined;) {
    const rows: { recordId: string; cells: Cells; rowKey: string[] }[] = await sql.query(
      `SELECT record_id AS "recordId", cells, row_key AS "rowKey" FROM copied_records
       WHERE sync_id = $1 AND record_id > $2 AND row_key IS NOT NULL ORDER BY record_id LIMIT $3`,
      [sync.id, after, batchSize],
    );
    const { refused } = await putRows(
      sql,
      current,
      rows.map((row) => ({ ...row, changedAt: now, only })),
    );
    // What is parked is not sent.
    await park(sql, sync.id, { refused, passed: [], at: now });
    after = rows.at(-1)?.recordId;
  }
}
