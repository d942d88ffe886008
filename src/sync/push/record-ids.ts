import type { EntityManager } from 'typeorm';
import { quoted, quotedTable } from '../target/identifiers.ts';
import type { TargetRow } from '../target/local-rows.ts';
import type { Sync } from '../sync.ts';
import { recordIdColumn } from '../target/target-table.ts';

/** Writes into the rows of a table of ours which record they are, once they are one. Rows that others are writing to come later. */
export async function markRecordIds(
  sql: EntityManager,
  sync: Sync,
  rows: readonly { recordId: string; key: string[]; row: TargetRow }[],
): Promise<void> {
  if (!sync.owned) return;
  const unmarked = rows.filter(({ recordId, row }) => row[recordIdColumn] !== recordId);
  if (unmarked.length === 0) return;
  const [key = ''] = sync.keyColumns;
  await sql.query(
    `UPDATE ${quotedTable(sync)} AS t SET ${quoted(recordIdColumn)} = r.id
     FROM jsonb_to_recordset($1::jsonb) AS r(id text, key text[])
     WHERE t.${quoted(key)} IN (
         SELECT one.${quoted(key)} FROM ${quotedTable(sync)} AS one
         WHERE one.${quoted(key)} = (r.key)[1]::${sync.keyTypes[0] ?? 'bigint'} FOR NO KEY UPDATE SKIP LOCKED)
       AND NOT EXISTS (SELECT 1 FROM ${quotedTable(sync)} AS other WHERE other.${quoted(recordIdColumn)} = r.id)`,
    [JSON.stringify(unmarked.map(({ recordId, key: rowKey }) => ({ id: recordId, key: rowKey })))],
  );
}
