import type { TableSchema } from '../bases/table-schema.ts';
import { AppError } from '../errors.ts';
import { fieldsToAsk } from './field-set.ts';
import type { RecordFilter } from './filters/filter.ts';
import { findLinkedIds } from './filters/linked-ids.ts';
import {
  conditionsFormula,
  fitsTable,
  readConditions,
  requireTellable,
  testsFor,
} from './filters/record-conditions.ts';
import { testKey, type RecordTest } from './filters/record-test.ts';
import { listCopied } from './copies/copied-page.ts';
import { decodeCopyCursor, needsMaxAge } from './copies/copy-cursor.ts';
import { readMaxAge } from './copies/max-age.ts';
import { decodeCursor, encodeCursor, type RecordPosition, type RecordQuery } from './record-cursor.ts';
import { listRecords, nothingListed, type ListedRecords, type WirePage } from './record-listing.ts';
import {
  asTheyAreNow,
  nodeOf,
  originOf,
  type Freshness,
  type RecordNode,
  type RecordSource,
} from './record-node.ts';
import { timed } from './record-reads.ts';
import { namesIn, type RecordSelection } from './record-selection.ts';
import type { RecordWork, TablePlace } from './record-work.ts';

export const maxSortFields = 10;

/** A page of records. */
export interface RecordPage {
  nodes: RecordNode[];
  /** Of the place behind each record, by its number in the page; null where there is none. */
  cursorBehind: (index: number) => string | null;
  hasPreviousPage: boolean;
  hasNextPage: boolean;
  source: RecordSource;
  /** The records are as they were then, or later; milliseconds since the epoch. Null where nothing had to be asked. */
  asOf: number | null;
  freshness: Freshness;
}

/** A table to list, as its caller has found it. */
export interface ListedTable extends TablePlace {
  /** Checked against the live schema. */
  tableId: string;
  /** How many reads of records had to end before this table could be asked for. */
  level: number;
}

export interface RecordsArguments {
  filter?: RecordFilter | null;
  search?: string | null;
  formula?: string | null;
  sort?: { field: string; direction: 'asc' | 'desc' }[] | null;
  view?: string | null;
  after?: string | null;
  /** ISO 8601. */
  maxAge?: string | null;
}

/**
 * One page of a table's records, `first` of them. Everything that can be wrong with what is asked is found before a call
 * for records. The caller's right to the base must have been checked.
 * @throws AppError saying what is wrong, and what reading records throws
 */
export async function listPage(
  work: RecordWork,
  table: ListedTable,
  args: RecordsArguments,
  { first, selection }: { first: number; selection: RecordSelection },
): Promise<RecordPage> {
  const sort = args.sort ?? [];
  requireFewSortFields(sort.length);
  const maxAgeMs = readMaxAge(args.maxAge);
  const conditions = readConditions(args);
  const schema = await work.schemas.table(
    table.connectionId,
    table.baseId,
    table.tableId,
    [...namesIn(selection), ...sort.map(({ field }) => field)],
    (candidate) => fitsTable(conditions, candidate),
  );
  const tests = testsFor(conditions, schema);
  requireTellable(tests);
  const query: RecordQuery = {
    connectionId: table.connectionId,
    baseId: table.baseId,
    tableId: schema.id,
    formula: conditions.formula,
    tests: tests.map(testKey),
    sort: sort.map(({ field, direction }) => ({ field: schema.getField(field).id, direction })),
    view: args.view || null,
  };
  const question = { table, schema, query, tests, selection, first };
  const copied = args.after == null ? null : decodeCopyCursor(query, args.after);
  if (copied && maxAgeMs === null) throw needsMaxAge();
  const after = args.after == null || copied ? null : decodeCursor(query, args.after);
  if (maxAgeMs === null) return readPage(work, { ...question, after, freshness: asTheyAreNow });
  if (after)
    return readPage(work, { ...question, after, freshness: { maxAgeMs, liveBecause: 'LIVE_CURSOR' } });
  const page = await listCopied(work, { ...question, after: copied, maxAgeMs });
  return 'nodes' in page ? page : readPage(work, { ...question, after, freshness: page });
}

function requireFewSortFields(count: number): void {
  if (count <= maxSortFields) return;
  throw new AppError('TOO_MANY', `"sort" may name at most ${maxSortFields} fields, not ${count}.`, {
    details: { argument: 'sort', max: maxSortFields, given: count },
  });
}

/** What is asked of a table, checked against its schema. */
export interface PageQuestion {
  table: ListedTable;
  schema: TableSchema;
  query: RecordQuery;
  tests: readonly RecordTest[];
  selection: RecordSelection;
  first: number;
}

interface PageRequest extends PageQuestion {
  after: RecordPosition | null;
  freshness: Freshness;
}

async function readPage(work: RecordWork, request: PageRequest): Promise<RecordPage> {
  const { table, schema, query, selection, after, freshness } = request;
  const { connectionId, baseId, level } = table;
  const fields = work.fieldsNeeded({ connectionId, baseId }, schema, selection);
  const narrowed = await narrowedBy(work, request);
  const { ends, hasNextPage, records, readAt } =
    narrowed === 'none'
      ? { ...nothingListed, readAt: null }
      : await listedRecords(work, request, narrowed.formula, fieldsToAsk(fields, schema));
  const place = { connectionId, baseId, table: schema };
  work.allowance.take(records.length);
  const origin = originOf(place, { known: fields, readAt, level: level + 1, freshness });
  const nodes = records.map((record) => nodeOf(origin, record));
  work.planner.remember(place, nodes);
  return {
    nodes,
    cursorBehind: (index) => {
      const end = ends.behind(index);
      return end && encodeCursor(query, end);
    },
    hasPreviousPage: after !== null && after.count > 0,
    hasNextPage,
    source: 'LIVE',
    asOf: readAt,
    freshness,
  };
}

/** Links are looked up with the records of this level, so that one call serves several listings. */
async function narrowedBy(
  work: RecordWork,
  { table, query, tests }: PageRequest,
): Promise<{ formula: string | null } | 'none'> {
  const { connectionId, baseId, level } = table;
  if (tests.length === 0) return { formula: query.formula };
  const base = await work.schemas.load(connectionId, baseId);
  const linkedIds = await findLinkedIds(tests, base, (linked, recordId, fieldId) => {
    const fields = new Set([fieldId]);
    return work.planner.load(
      { connectionId, baseId, table: linked, recordId, fields, freshness: asTheyAreNow },
      level + 1,
    );
  });
  return conditionsFormula(tests, query.formula, linkedIds);
}

async function listedRecords(
  work: RecordWork,
  { table, schema, query, first, after }: PageRequest,
  formula: string | null,
  fields: string[] | undefined,
): Promise<ListedRecords & { readAt: number }> {
  const { connectionId, baseId } = table;
  const { clock, recordReads } = work.services;
  const api = await work.openForReading(connectionId);
  const { sort, view } = query;
  let readAt = Number.POSITIVE_INFINITY;
  const listed = await listRecords({
    query,
    first,
    after,
    readPage: async (offset, pageSize): Promise<WirePage> => {
      const parameters = {
        pageSize,
        ...(fields ? { fields } : {}),
        ...(formula === null ? {} : { filterByFormula: formula }),
        ...(sort.length === 0 ? {} : { sort: [...sort] }),
        ...(view === null ? {} : { view }),
        ...(offset === null ? {} : { offset }),
      };
      const send = () => timed(clock.now(), api.listRecords(baseId, schema.id, parameters));
      const key = `${connectionId}/${baseId}/${schema.id}/${JSON.stringify(parameters)}`;
      const { answer, askedAt } = work.planner.mayShareReads
        ? await recordReads.pages.read(key, work.operation, send)
        : await send();
      readAt = Math.min(readAt, askedAt);
      return answer;
    },
  }).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'FIELD_NOT_FOUND') work.schemas.forgetShared(baseId);
    throw error;
  });
  return { ...listed, readAt };
}
