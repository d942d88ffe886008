import { maxRecordsPerPage } from '../calendly/api.ts';
import { hasExpired, OffsetTrail, withRestarts } from '../calendly/pages.ts';
import { RecordPageSize } from '../calendly/record-page-size.ts';
import type { WireRecord } from '../calendly/wire.ts';
import { AppError } from '../errors.ts';
import type { RecordPosition, RecordQuery } from './record-cursor.ts';
import { RecordEnds } from './record-ends.ts';

/** One page of the upstream. */
export interface WirePage {
  records: WireRecord[];
  offset: string | null;
}

/** A piece of a listing, and where each record's end lies. */
export interface ListedRecords {
  records: WireRecord[];
  /** The place behind each record. */
  ends: RecordEnds;
  hasNextPage: boolean;
}

const start: RecordPosition = { offset: null, index: 0, lastId: null, count: 0, pageSize: 100, atEnd: false };

export const nothingListed: ListedRecords = {
  records: [],
  ends: new RecordEnds([], start),
  hasNextPage: false,
};

/** Pages that are read to find a lost place again. Beyond that, beginning anew is the caller's decision. */
const maxPagesToFindPlace = 20;

type ReadPage = (offset: string | null, pageSize: number) => Promise<{ page: WirePage; size: number }>;

/**
 * Reads `first` records behind `after`.
 *
 * The upstream lists through an iterator that lives for minutes and then answers CURSOR_EXPIRED. Where sort or view fix
 * the order, the listing is begun again and the last record looked for, within bounds; where nothing fixes the order, a
 * new listing may come in another one and could repeat or leave out records, so the caller has to decide. A listing
 * that died before anything of it was handed out is simply begun again. A page that is too large to be read is asked for
 * with fewer records, from the same offset on.
 * @throws AppError CURSOR_EXPIRED saying how to go on, and what `readPage` throws
 */
export async function listRecords(request: {
  query: RecordQuery;
  first: number;
  after: RecordPosition | null;
  readPage: (offset: string | null, pageSize: number) => Promise<WirePage>;
}): Promise<ListedRecords> {
  const { query, first, after } = request;
  const from = after ?? start;
  if (from.atEnd) return nothingListed;
  const pageSize = pageSizeFor(first, after);
  const sizes = new RecordPageSize();
  const readPage: ReadPage = (offset, wanted) => sizes.read(wanted, (size) => request.readPage(offset, size));
  const isOrdered = query.sort.length > 0 || query.view !== null;

  try {
    return await withRestarts(
      async (restarts) => {
        if (restarts === 0 || !after) return readFrom(from, first, pageSize, readPage);
        const begin = await findAgain(after, readPage);
        return readFrom(begin, first, begin.pageSize, readPage);
      },
      (error) => (!after || isOrdered) && isExpired(error),
    );
  } catch (error) {
    throw isExpired(error) ? expired(error) : error;
  }
}

/** One call gives the whole answer where it can; a listing that goes on keeps its page size while that stays cheap. */
function pageSizeFor(first: number, after: RecordPosition | null): number {
  if (!after || after.offset === null) return Math.min(first, maxRecordsPerPage);
  const callsAsBefore = Math.ceil((first + after.index) / after.pageSize);
  const fewestCalls = Math.ceil(first / maxRecordsPerPage);
  return callsAsBefore <= 2 * fewestCalls ? after.pageSize : maxRecordsPerPage;
}

async function readFrom(
  begin: RecordPosition,
  first: number,
  size: number,
  readPage: ReadPage,
): Promise<ListedRecords> {
  const records: WireRecord[] = [];
  const seen = new Set<string>();
  let { offset } = begin;
  // The first page of a listing is not bound to a size yet; but a place inside of it has to lie in it again.
  const pageSize = offset === null ? Math.min(Math.max(size, begin.index + first), maxRecordsPerPage) : size;
  const ends = new RecordEnds(records, { count: begin.count });
  const trail = new OffsetTrail();
  if (offset !== null) trail.step(offset);
  /** Records that lie before the place in the pages to come. */
  let toPass = begin.index;
  for (;;) {
    const { page, size } = await readPage(offset, pageSize);
    const read = { offset, next: page.offset, length: page.records.length, size };
    let index = indexBehind(page.records, { index: toPass, lastId: begin.lastId });
    // A page that had to be smaller than the one in which the place was may end before it.
    const isPassed = index < page.records.length || page.records.at(-1)?.id === begin.lastId;
    toPass = isPassed ? 0 : Math.max(0, toPass - size);
    for (; index < page.records.length && records.length < first; index += 1) {
      const record = page.records[index]!;
      if (seen.has(record.id)) continue;
      seen.add(record.id);
      ends.note(read, index);
      records.push(record);
    }
    if (index < page.records.length) return { records, ends, hasNextPage: true };
    if (page.offset === null) return { records, ends, hasNextPage: false };
    if (records.length >= first) return { records, ends, hasNextPage: true };
    offset = trail.step(page.offset);
  }
}

/** The place may have moved within its page by deletions; the last record handed out tells where it is now. */
function indexBehind(
  records: readonly WireRecord[],
  { index, lastId }: Pick<RecordPosition, 'index' | 'lastId'>,
): number {
  if (index === 0 || records[index - 1]?.id === lastId) return index;
  const found = records.findIndex((record) => record.id === lastId);
  return found >= 0 ? found + 1 : Math.min(index - 1, records.length);
}

/** Begins the listing anew and looks for the record before the lost place. */
async function findAgain(lost: RecordPosition, readPage: ReadPage): Promise<RecordPosition> {
  const pages = Math.ceil(lost.count / maxRecordsPerPage) + 1;
  const most = pages <= maxPagesToFindPlace ? pages * maxRecordsPerPage : 0;
  let offset: string | null = null;
  let asked = 0;
  for (let page = 0; page < maxPagesToFindPlace && asked < most; page += 1) {
    const read: Awaited<ReturnType<ReadPage>> = await readPage(offset, maxRecordsPerPage);
    const { records, offset: next } = read.page;
    asked += read.size;
    const found = records.findIndex((record) => record.id === lost.lastId);
    if (found >= 0) {
      const isLastOfPage = found === records.length - 1 && next !== null;
      return {
        ...lost,
        pageSize: read.size,
        offset: isLastOfPage ? next : offset,
        index: isLastOfPage ? 0 : found + 1,
      };
    }
    if (next === null) break;
    offset = next;
  }
  throw new AppError(
    'CURSOR_EXPIRED',
    'The upstream has forgotten this listing, and its place could not be found again in a new one: it lies too far in, or the record before it is gone. Begin again without "after".',
    { details: { placeIsLost: true } },
  );
}

function isExpired(error: unknown): error is AppError {
  return hasExpired(error) && error.details.placeIsLost !== true;
}

function expired(cause: unknown): AppError {
  return new AppError(
    'CURSOR_EXPIRED',
    'The upstream has forgotten this listing, which it keeps for some minutes only, and nothing fixes the order in which it would come again. Begin again without "after" and leave out the records you have, or list with a "sort" or "view", with which we can find the place again.',
    { cause },
  );
}
