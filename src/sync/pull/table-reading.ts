import { hasExpired, OffsetTrail, withRestarts } from '../../calendly/pages.ts';
import { RecordPageSize } from '../../calendly/record-page-size.ts';
import type { WireRecord } from '../../calendly/wire.ts';
import { cutSlices, openingSlices, sliceFormula, slicesAtOnce, slicesOf, type Slice } from './slices.ts';
import { addSlices, type countPage, slicesOfRun, type StoredSlice } from './stored-run.ts';
import type { SyncLease } from '../sync-lease.ts';
import type { Sync } from '../sync.ts';
import type { UpstreamTable } from './upstream-table.ts';

export interface TableReadingDeps {
  lease: SyncLease;
  table: UpstreamTable;
}

/** What the readers of one run share. */
interface Reading extends TableReadingDeps {
  sizes: RecordPageSize;
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
 * last page. How large a table is shows in the first slice that is done; the rest is cut by that.
 */
export async function readTable(
  sync: Sync,
  reader: SliceReader,
  deps: TableReadingDeps,
  signal: AbortSignal,
  known: number | null,
): Promise<void> {
  const { lease } = deps;
  const reading: Reading = { ...deps, sizes: new RecordPageSize() };
  let slices = await slicesOfRun(lease.sql, sync);
  if (slices.length === 0) {
    const isWhole = known === null && (await readAtOnce(sync, reader, reading, signal));
    if (isWhole) return;
    const first = known === null ? openingSlices() : cutSlices(0, known);
    slices = await add(sync, first, known, lease);
  }
  const end = slices.at(-1)?.to ?? 0;
  await readSlices(
    sync,
    slices,
    reader,
    reading,
    signal,
    end === slicesOf ? null : () => cutRest(sync, end, lease),
  );
}

/** Cuts what lies behind the first slices by those of them that are done. */
async function cutRest(sync: Sync, end: number, lease: SyncLease): Promise<StoredSlice[]> {
  const done = (await slicesOfRun(lease.sql, sync)).filter((slice) => slice.done);
  const records = done.reduce((sum, slice) => sum + slice.records, 0);
  const places = done.reduce((sum, slice) => sum + slice.to - slice.from, 0);
  const inAll = Math.round((records * slicesOf) / places);
  const rest = cutSlices(end, (inAll * (slicesOf - end)) / slicesOf);
  return (await add(sync, rest, inAll, lease)).filter(({ from }) => from >= end);
}

/** A table of one page needs no slices. @returns whether it was one */
async function readAtOnce(
  sync: Sync,
  reader: SliceReader,
  { lease, table, sizes }: Reading,
  signal: AbortSignal,
): Promise<boolean> {
  const { records, offset, calls } = await table.page(sync, { offset: null }, sizes, signal);
  if (offset !== null) return false;
  const whole = { from: 0, to: slicesOf };
  await add(sync, [whole], records.length, lease);
  await reader.page(whole, records, { records: records.length, calls, restarted: true, done: true });
  return true;
}

async function add(
  sync: Sync,
  slices: readonly Slice[],
  expected: number | null,
  lease: SyncLease,
): Promise<StoredSlice[]> {
  return lease.transaction(async (sql) => {
    await addSlices(sql, sync, slices, expected);
    return slicesOfRun(sql, sync);
  });
}

/**
 * @param cut makes the slices behind these, once one is done
 * @throws the first failure, once all that was under way has ended
 */
async function readSlices(
  sync: Sync,
  slices: readonly StoredSlice[],
  reader: SliceReader,
  reading: Reading,
  signal: AbortSignal,
  cut: (() => Promise<StoredSlice[]>) | null,
): Promise<void> {
  const open = slices.filter(({ done }) => !done);
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  let noteDone: () => void = () => undefined;
  const firstDone = new Promise<void>((resolve) => {
    noteDone = resolve;
  });
  if (open.length < slices.length) noteDone();
  let rest: Promise<void> | null = cut === null ? Promise.resolve() : null;
  const restIsOpen = async () => {
    await firstDone;
    either.throwIfAborted();
    await (rest ??= cut?.().then((more) => void open.push(...more)) ?? Promise.resolve());
  };
  const readNext = async (): Promise<void> => {
    for (;;) {
      if (open.length === 0) await restIsOpen();
      const slice = open.shift();
      if (!slice) return;
      await readSlice(sync, slice, reader, reading, either);
      noteDone();
    }
  };
  const ends = await Promise.allSettled(
    Array.from({ length: slicesAtOnce }, () =>
      readNext().catch((error: unknown) => {
        open.length = 0;
        stop.abort(error);
        noteDone();
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
  { table, sizes }: Reading,
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
        sizes,
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
