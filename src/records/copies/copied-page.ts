import { setTimeout as delay } from 'node:timers/promises';
import type { TableSchema } from '../../bases/table-schema.ts';
import { withinOperation } from '../../calendly/within-operation.ts';
import { AppError } from '../../errors.ts';
import { conditionsFormula } from '../filters/record-conditions.ts';
import type { RecordQuery } from '../record-cursor.ts';
import { nodeOf, originOf, type Freshness, type RecordNode } from '../record-node.ts';
import type { PageQuestion, RecordPage } from '../record-page.ts';
import type { RecordWork } from '../record-work.ts';
import { copyIsGone, copyIsSlow, encodeCopyCursor, type CopyPosition } from './copy-cursor.ts';
import type { CopiedRecord, CopiedRecords, NotCopied } from './record-copies.ts';
import { isPlaceIn, sortCell, type SortField } from './sort-order.ts';

interface CopiedPageRequest extends PageQuestion {
  /** Where a listing of the copy goes on. */
  after: CopyPosition | null;
  maxAgeMs: number;
}

/** How long a listing waits for its copy to be young enough again, and how often it looks, in milliseconds. */
const maxWaitMs = 5_000;
const lookIntervalMs = 100;
/** When to ask again after that, in milliseconds. */
const retryAfterMs = 2_000;

/**
 * A page out of a copy of the table, or why it has to come from the upstream. A listing that began in the copy goes on
 * there: the upstream may put equal records in another order, and a place in its listings means something else.
 * @throws AppError COPY_TOO_OLD or CURSOR_EXPIRED saying how a listing goes on that can't go on here
 */
export async function listCopied(
  work: RecordWork,
  request: CopiedPageRequest,
): Promise<RecordPage | Freshness> {
  const { after, maxAgeMs, table, schema } = request;
  const read = after ? goOn : readCopy;
  let asked = request;
  let copied = await read(work, asked);
  if ('liveBecause' in copied && copied.isDoubtful) {
    const renewed = await work.schemas.doubted(table.connectionId, table.baseId, schema.id);
    if (renewed) copied = await read(work, (asked = { ...request, schema: renewed }));
  }
  if (!('liveBecause' in copied)) return pageOf(work, asked, copied);
  const { liveBecause } = copied;
  if (!after) return { maxAgeMs, liveBecause };
  throw liveBecause === 'TOO_SLOW' ? copyIsSlow() : copyIsGone();
}

/** Waits for a copy that is too old. */
async function goOn(work: RecordWork, request: CopiedPageRequest): Promise<CopiedRecords | NotCopied> {
  const { clock } = work.services;
  const giveUpAt = Math.min(clock.now() + maxWaitMs, work.operation.deadline);
  for (;;) {
    const copied = await readCopy(work, request);
    if (!('liveBecause' in copied) || copied.liveBecause !== 'TOO_OLD') return copied;
    if (clock.now() >= giveUpAt) throw tooOld();
    await withinOperation(delay(lookIntervalMs), work.operation, clock);
  }
}

async function readCopy(
  work: RecordWork,
  { table, schema, query, tests, selection, first, after, maxAgeMs }: CopiedPageRequest,
): Promise<CopiedRecords | NotCopied> {
  const { connectionId, baseId } = table;
  // What the upstream can't be asked is refused here too, not only when the copy happens to be too old.
  conditionsFormula(tests, query.formula, (_field, ids) => ids);
  if (query.formula !== null || query.view !== null) return { liveBecause: 'UPSTREAM_ONLY' };
  await work.openForReading(connectionId);
  const sort = sortOf(schema, query);
  if (after && !isPlaceIn(sort, after.place)) return { liveBecause: 'NOT_COPIED', isDoubtful: true };
  const fields = work.fieldsNeeded({ connectionId, baseId }, schema, selection);
  return work.services.recordCopies.list(
    { connectionId, baseId, tableId: schema.id, maxAgeMs },
    { table: schema, fields, tests, sort },
    // One more tells whether more follow.
    { after: after?.place ?? null, limit: first + 1 },
    work.operation,
  );
}

async function pageOf(
  work: RecordWork,
  request: CopiedPageRequest,
  { asOf, records, replaced }: CopiedRecords,
): Promise<RecordPage> {
  const { table, schema, query, selection, first, after, maxAgeMs } = request;
  const { connectionId, baseId, level } = table;
  const page = records.slice(0, first);
  work.allowance.take(page.length);
  const live = replaced.size > 0 ? await readLive(work, request, page, replaced) : null;
  // Those that have gone meanwhile are left out.
  const shown = live === null ? page : page.filter(({ id }) => live.get(id) !== null);
  const freshness = { maxAgeMs, liveBecause: null };
  const origin = originOf(
    { connectionId, baseId, table: schema },
    {
      known: work.fieldsNeeded({ connectionId, baseId }, schema, selection),
      readAt: asOf,
      level: level + 1,
      source: 'COPY',
      freshness,
    },
  );
  const sort = sortOf(schema, query);
  const before = after?.count ?? 0;
  return {
    nodes: shown.map((record) => live?.get(record.id) ?? nodeOf(origin, record)),
    cursorBehind(index) {
      const record = shown[index];
      if (!record) return null;
      const cells = sort.map(({ field }) => sortCell(field, record.fields));
      const place = { cells, createdAt: Date.parse(record.createdTime), id: record.id };
      return encodeCopyCursor(query, { place, count: before + index + 1 });
    },
    hasPreviousPage: before > 0,
    hasNextPage: records.length > first,
    source: 'COPY',
    asOf,
    freshness,
  };
}

/** The records of a page whose texts the copy may have otherwise, as the upstream has them now. */
async function readLive(
  work: RecordWork,
  { table, schema, selection, maxAgeMs }: CopiedPageRequest,
  records: readonly CopiedRecord[],
  replaced: ReadonlySet<string>,
): Promise<Map<string, RecordNode | null>> {
  const { connectionId, baseId, level } = table;
  const fields = work.fieldsNeeded({ connectionId, baseId }, schema, selection);
  const freshness = { maxAgeMs, liveBecause: null };
  const read = async ({ id: recordId }: CopiedRecord): Promise<[string, RecordNode | null]> => {
    const lookup = { connectionId, baseId, table: schema, recordId, fields, freshness };
    return [recordId, await work.planner.load(lookup, level + 1)];
  };
  return new Map(await Promise.all(records.filter(({ id }) => replaced.has(id)).map(read)));
}

function sortOf(schema: TableSchema, { sort }: RecordQuery): SortField[] {
  return sort.map(({ field, direction }) => ({ field: schema.getField(field), direction }));
}

function tooOld(): AppError {
  return new AppError(
    'COPY_TOO_OLD',
    'The listing stands in a copy of the table that is older than "maxAge", or than a write through this server. It is being brought up to date: send the same again in some seconds, allow more with "maxAge", or begin again without "after".',
    { details: { retryAfterMs } },
  );
}
