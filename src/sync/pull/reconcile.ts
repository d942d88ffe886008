import type { WireRecord } from '../../calendly/wire.ts';
import { fieldShapes } from '../../records/copies/field-shapes.ts';
import { captureAlone } from '../push/capture.ts';
import type { Sync } from '../sync.ts';
import { Comparison } from './comparison.ts';
import type { FillDeps } from './fill.ts';
import type { LogApplier } from './log-applier.ts';
import { removeMissing } from './missing-records.ts';
import { retryParked } from './retry-parked.ts';
import type { Slice } from './slices.ts';
import { beginRun, countPage, finishRun } from './stored-run.ts';
import { readTable, type PageCount } from './table-reading.ts';

export interface ReconcileDeps extends FillDeps {
  applier: LogApplier;
  /** Applies all that the upstream can tell of at the call. */
  catchUp: () => Promise<void>;
}

/**
 * Reads the whole table again, while the log is applied beside it, and repairs what differs: first what was read, then what
 * was not, then what the target had refused. A run that was broken off goes on.
 * @returns how many records differed
 * @throws TooMuchMissing
 */
export async function reconcile(deps: ReconcileDeps, signal: AbortSignal): Promise<number> {
  const { lease, applier, table, clock, catchUp } = deps;
  const now = () => new Date(clock.now());
  const shapes = fieldShapes(await table.schema(await lease.read(), signal));
  await lease.transaction((sql, sync) => beginRun(sql, sync, 'reconcile', shapes, now()));
  const run = await lease.read();
  const comparison = new Comparison(deps);
  const end = applier.onTouched((ids) => comparison.touch(ids));
  try {
    await readTable(
      run,
      {
        begin: (slice) => comparison.begin(nameOf(slice)),
        page: async (slice: Slice, records: readonly WireRecord[], count: PageCount) => {
          await comparison.compare(nameOf(slice), records, (sql) =>
            countPage(sql, run, slice, { ...count, done: false }),
          );
          if (!count.done) return;
          await comparison.end(nameOf(slice));
          await lease.transaction((sql) => countPage(sql, run, slice, slicesEnd));
        },
      },
      deps,
      signal,
      await knownRecords(lease.sql, run),
    );
    await catchUp();
    await removeMissing(run, { ...deps, comparison }, signal);
    await retryParked(lease, now);
    await lease.transaction(async (sql, current) => {
      if (current.direction !== 'pull') await captureAlone(sql, current);
      await finishRun(sql, run, now());
    });
    return comparison.found;
  } finally {
    end();
  }
}

/** Only once everything in it was judged: whoever comes next begins a slice that is not done again. */
const slicesEnd = { records: 0, calls: 0, restarted: false, done: true };

function nameOf({ from }: Slice): string {
  return `slice ${from}`;
}

async function knownRecords(sql: ReconcileDeps['lease']['sql'], { id }: Sync): Promise<number> {
  const [row] = await sql.query<{ count: number }[]>(
    'SELECT count(*)::int AS count FROM copied_records WHERE sync_id = $1',
    [id],
  );
  return row?.count ?? 0;
}
