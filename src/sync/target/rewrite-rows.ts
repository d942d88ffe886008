import { applyRecords } from '../pull/apply-records.ts';
import type { Cells } from '../values/row-writes.ts';
import type { SyncLease } from '../sync-lease.ts';
import { differingRows } from './row-comparison.ts';
import { forgetVanished } from './vanished-rows.ts';

/** Records whose rows are looked at in one transaction. */
const batchSize = 500;

/**
 * Writes the rows that are not what the copy of their record says, such as after columns have changed. What is parked waits
 * for the change of its record, or the next reconcile.
 */
export async function rewriteRows(lease: SyncLease, now: () => Date): Promise<void> {
  await lease.transaction((sql, sync) => forgetVanished(sql, sync, null));
  for (let after = ''; ;) {
    const last = await lease.transaction(async (sql, sync) => {
      const rows = await sql.query<
        { recordId: string; createdTime: Date; cells: Cells; rowKey: string[] | null }[]
      >(
        `SELECT record_id AS "recordId", created_time AS "createdTime", cells, row_key AS "rowKey" FROM copied_records
         WHERE sync_id = $1 AND record_id > $2
           AND NOT EXISTS (SELECT 1 FROM sync_parked AS p WHERE p.sync_id = copied_records.sync_id AND p.record_id = copied_records.record_id)
         ORDER BY record_id LIMIT $3 FOR UPDATE`,
        [lease.id, after, batchSize],
      );
      const changedAt = now();
      const wrong = await differingRows(
        sql,
        sync,
        rows.map((row) => ({ ...row, changedAt })),
      );
      const news = rows
        .filter(({ recordId }) => wrong.has(recordId))
        .map(({ recordId, createdTime, cells }) => ({
          recordId,
          createdTime,
          cells,
          changedAt,
          entries: [],
          position: null,
        }));
      await applyRecords(sql, sync, news, { seenRun: null, always: true, now: changedAt });
      const end = rows.at(-1)?.recordId ?? null;
      if (end === null) await sql.query('UPDATE syncs SET rows_outdated = false WHERE id = $1', [lease.id]);
      return end;
    });
    if (last === null) return;
    after = last;
  }
}
