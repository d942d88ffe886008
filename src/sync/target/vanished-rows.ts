import type { EntityManager } from 'typeorm';
import type { Sync } from '../sync.ts';
import { quoted, quotedTable } from './identifiers.ts';

/**
 * Lets go of rows that are not there although nobody was seen deleting them: with triggers switched off, with a partition
 * that was detached, with the table itself. Such a row is made again, and its record is never deleted for it.
 *
 * One statement, and so one moment: a deletion that is captured is seen together with what was captured of it.
 * @param recordIds null for all records of the sync
 */
export async function forgetVanished(
  sql: Pick<EntityManager, 'query'>,
  sync: Pick<Sync, 'id' | 'direction' | 'targetSchema' | 'targetTable' | 'keyColumns' | 'keyTypes'>,
  recordIds: readonly string[] | null,
): Promise<void> {
  if (sync.direction === 'pull') return;
  await sql.query(
    `UPDATE copied_records AS r SET row_key = NULL
     WHERE r.sync_id = $1 AND ($2::text[] IS NULL OR r.record_id = ANY($2)) AND r.row_key IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM ${quotedTable(sync)} AS t WHERE ${isItsRow(sync)})
       AND NOT EXISTS (SELECT 1 FROM sync_outbox AS o WHERE o.sync_id = $1)
       AND NOT EXISTS (SELECT 1 FROM sync_pending AS p WHERE p.sync_id = $1 AND p.record_id = r.record_id)
       AND NOT EXISTS (SELECT 1 FROM sync_writes AS w WHERE w.sync_id = $1 AND w.record_id = r.record_id)`,
    [sync.id, recordIds],
  );
}

/** Whether `t`, a row of the target, is the one that `r`, a copied record, has. */
export function isItsRow({ keyColumns, keyTypes }: Pick<Sync, 'keyColumns' | 'keyTypes'>): string {
  return keyColumns
    .map((column, index) => `t.${quoted(column)} = (r.row_key)[${index + 1}]::${keyTypes[index] ?? 'text'}`)
    .join(' AND ');
}
