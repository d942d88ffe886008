import type { TableSchema } from '../../bases/table-schema.ts';
import type { Clock } from '../../clock.ts';
import { fieldShapes } from '../../records/copies/field-shapes.ts';
import { applyRecords } from './apply-records.ts';
import type { WireRecord } from '../../calendly/wire.ts';
import type { RecordNews } from '../values/row-writes.ts';
import { beginRun, countPage } from './stored-run.ts';
import type { SyncLease } from '../sync-lease.ts';
import { readTable } from './table-reading.ts';
import type { UpstreamTable } from './upstream-table.ts';

export interface FillDeps {
  lease: SyncLease;
  table: UpstreamTable;
  clock: Clock;
}

/**
 * Reads the whole table for the first time. The log is applied only afterwards, from where it stood before the first page
 * was read: entries that are older than what was read are repeated by that, and the log ends at the truth.
 * @param schema as it is now
 */
export async function fill(deps: FillDeps, schema: TableSchema, signal: AbortSignal): Promise<void> {
  const { lease, clock } = deps;
  const now = () => new Date(clock.now());
  const shapes = fieldShapes(schema);
  await lease.transaction((sql, sync) => beginRun(sql, sync, 'fill', shapes, now()));
  const sync = await lease.read();
  await readTable(
    sync,
    {
      page: (slice, records, count) =>
        lease.transaction(async (sql, current) => {
          const at = now();
          await applyRecords(
            sql,
            current,
            records.map((record) => newsOfRecord(record, at)),
            {
              seenRun: sync.run,
              now: at,
            },
          );
          await countPage(sql, sync, slice, count);
        }),
    },
    deps,
    signal,
    null,
  );
}

/** A record that was read. */
export function newsOfRecord(record: WireRecord, at: Date): RecordNews {
  return {
    recordId: record.id,
    createdTime: new Date(record.createdTime),
    cells: record.fields,
    changedAt: at,
    entries: [],
    position: null,
  };
}
