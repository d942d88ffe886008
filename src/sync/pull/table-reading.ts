import { hasExpired, OffsetTrail, withRestarts } from '../../calendly/pages.ts';
import type { WireRecord } from '../../calendly/wire.ts';
import { cutSlices, openingSlices, sliceFormula, slicesAtOnce, slicesOf, type Slice } from './slices.ts';
import { addSlices, type countPage, slicesOfRun, type StoredSlice } from './stored-run.ts';
import type { SyncLeases } from '../sync-lease.ts';
import type { Sync } from '../sync.ts';
import type { UpstreamTable } from './upstream-table.ts';

export interface TableReadingDeps {
  leases: SyncLeases;
  table: UpstreamTable;
}

/** What takes the records of a run. */
export interface SliceReader {
  /** One page, in a transaction of its own that holds the sync's row. */
  page: (slice: Slice, records: readonly WireRecord[], count: PageCount) => Promise<void>;
  /** A slice begins, also when it begins again. */
  begin?: (slice: Slice) => void;
}

export type PageCount = Parameters<typeof countPage>[3];

/**
 * Reads a whole table in slices, several at once. The upstream's offsets are not kept: a slice whose offset has died, or
 * whose reader has, begins again; those that are done are not read again, since that is stored in the transaction of their
 * last page. How large a table is shows in the first slices; the rest is cut by that.
 */
export async function readTable(
  sync: Sync,
  reader: SliceReader,
  { leases, table }: TableReadingDeps,
  signal: AbortSignal,
  known: number | null,
): Promise<void> {
  let slices = await slicesOfRun(leases.sql, sync);
  if (slices.length === 0) {
    const isWhole = known === null && (await readAtOnce(sync, reader, { leases, table }, signal));
    if (isWhole) return;
    const first = known === null ? openingSlices() : cutSlices(0, known);
    slices = await add(sync, first, known, leases);
  }
  await readSlices(sync, slices, reader, table, signal);
  const end = slices.at(-1)?.to ?? 0;
  if (end === slicesOf) return;
  slices = await slicesOfRun(leases.sql, sync);
  const read = slices.reduce((sum, { records }) => sum + records, 0);
  const expected = Math.round((read * slicesOf) / end);
  const rest = await add(sync, cutSlices(end, expected - read), expected, leases);
  await readSlices(
    sync,
    rest.filter(({ done }) => !done),
    reader,
    table,
    signal,
  );
}

/** A table of one page needs no slices. @returns whether it was one */
async function readAtOnce(
  sync: Sync,
  reader: SliceReader,
  { leases, table }: TableReadingDeps,
  signal: AbortSignal,
): Promise<boolean> {
  const { records, offset, calls } = await table.page(sync, { offset: null }, signal);
  if (offset !== null) return false;
  const whole = { from: 0, to: slicesOf };
  await add(sync, [whole], records.length, leases);
  await reader.page(whole, records, { records: records.length, calls, restarted: true, done: true });
  return true;
}

async function add(
  sync: Sync,
  slices: readonly Slice[],
  expected: number | null,
  leases: SyncLeases,
): Promise<StoredSlice[]> {
  return leases.transaction(sync.id, async (sql) => {
    await addSlices(sql, sync, slices, expected);
    return slicesOfRun(sql, sync);
  });
}

/** @throws the first failure, once all that was under way has ended */
async function readSlices(
  sync: Sync,
  slices: readonly StoredSlice[],
  reader: SliceReader,
  table: UpstreamTable,
  signal: AbortSignal,
): Promise<void> {
  const open = slices.filter(({ done }) => !done);
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const readNext = async (): Promise<void> => {
    for (let slice = open.shift(); slice; slice = open.shift())
      await readSlice(sync, slice, reader, table, either);
  };
  const ends = await Promise.allSettled(
    Array.from({ length: slicesAtOnce }, () =>
      readNext().catch((error: unknown) => {
        open.length = 0;
        stop.abort(error);
        throw error;
      }),
    ),
  );
  if (stop.signal.aborted) throw stop.signal.reason;
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

function readSlice(
  sync: Sync,
  slice: Slice,
  reader: SliceReader,
  table: UpstreamTable,
  signal: AbortSignal,
): Promise<void> {
  const filterByFormula = slice.from === 0 && slice.to === slicesOf ? undefined : sliceFormula(slice);
  return withRestarts(async () => {
    const trail = new OffsetTrail();
    reader.begin?.(slice);
    for (let offset: string | null = null, isFirst = true; ; isFirst = false) {
      signal.throwIfAborted();
      const page: Awaited<ReturnType<UpstreamTable['page']>> = await table.page(
        sync,
        { filterByFormula, offset },
        signal,
      );
      const done = page.offset === null;
      const { records, calls } = page;
      await reader.page(slice, records, { records: records.length, calls, restarted: isFirst, done });
      if (page.offset === null) return;
      offset = trail.step(page.offset);
    }
  }, hasExpired);
}
