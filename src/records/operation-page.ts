import type { GraphQLResolveInfo } from 'graphql';
import { operationSchemas, type TableNode } from '../bases/schema.ts';
import type { TableSchema } from '../bases/table-schema.ts';
import { AppError } from '../errors.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import { pageLength } from '../graphql/list-slice.ts';
import { fieldsToAsk } from './field-set.ts';
import type { RecordFilter } from './filters/filter.ts';
import { findLinkedIds } from './filters/linked-ids.ts';
import { fieldsNeeded, openForReading, recordAllowance, recordPlanner } from './operation-records.ts';
import { conditionsFormula, fitsTable, readConditions, testsFor } from './filters/record-conditions.ts';
import { decodeCursor, type RecordPosition, type RecordQuery } from './record-cursor.ts';
import { listRecords, type ListedRecords, type WirePage } from './record-listing.ts';
import type { RecordNode } from './record-node.ts';
import { nodeOf } from './record-planner.ts';
import { namesIn, type RecordSelection } from './record-selection.ts';
import { testKey, type RecordTest } from './filters/record-test.ts';
import { fieldNodesBelow, recordSelection } from './selected-record.ts';

export const maxSortFields = 10;

/** A page of records, with the place behind each. */
export interface RecordPage {
  query: RecordQuery;
  nodes: RecordNode[];
  ends: RecordPosition[];
  hasPreviousPage: boolean;
  hasNextPage: boolean;
}

export interface RecordsArguments {
  filter?: RecordFilter | null;
  search?: string | null;
  formula?: string | null;
  sort?: { field: string; direction: 'asc' | 'desc' }[] | null;
  view?: string | null;
  first?: number | null;
  after?: string | null;
}

/**
 * One page of a table's records. Everything that can be wrong with what is asked is found before a call for records.
 * @throws AppError saying what is wrong, and what reading records throws
 */
export async function listPage(
  context: GraphQLContext,
  info: GraphQLResolveInfo,
  table: TableNode,
  args: RecordsArguments,
): Promise<RecordPage> {
  const first = pageLength(args.first);
  const sort = args.sort ?? [];
  requireFewSortFields(sort.length);
  const conditions = readConditions(args);
  const selection = pageSelection(info);
  const schema = await operationSchemas(context).table(
    table.connectionId,
    table.baseId,
    table.schema.id,
    [...namesIn(selection), ...sort.map(({ field }) => field)],
    (candidate) => fitsTable(conditions, candidate),
  );
  const tests = testsFor(conditions, schema);
  const query: RecordQuery = {
    connectionId: table.connectionId,
    baseId: table.baseId,
    tableId: schema.id,
    formula: conditions.formula,
    tests: tests.map(testKey),
    sort: sort.map(({ field, direction }) => ({ field: schema.getField(field).id, direction })),
    view: args.view || null,
  };
  const after = args.after == null ? null : decodeCursor(query, args.after);
  return readPage(context, { table, schema, query, tests, selection, first, after });
}

function requireFewSortFields(count: number): void {
  if (count <= maxSortFields) return;
  throw new AppError('TOO_MANY', `"sort" may name at most ${maxSortFields} fields, not ${count}.`, {
    details: { argument: 'sort', max: maxSortFields, given: count },
  });
}

/** What is asked of the records, whether through `nodes` or `edges`. */
function pageSelection(info: GraphQLResolveInfo): RecordSelection {
  return recordSelection(info, [
    ...fieldNodesBelow(info, [['RecordPage', 'nodes']]),
    ...fieldNodesBelow(info, [
      ['RecordPage', 'edges'],
      ['RecordEdge', 'node'],
    ]),
  ]);
}

interface PageRequest {
  table: TableNode;
  schema: TableSchema;
  query: RecordQuery;
  tests: readonly RecordTest[];
  selection: RecordSelection;
  first: number;
  after: RecordPosition | null;
}

async function readPage(context: GraphQLContext, request: PageRequest): Promise<RecordPage> {
  const { table, schema, query, selection, after } = request;
  const { connectionId, baseId, level } = table;
  const planner = recordPlanner(context);
  const fields = fieldsNeeded(context, { connectionId, baseId }, schema, selection);
  const narrowed = await narrowedBy(context, request);
  const listed =
    narrowed === 'none'
      ? { records: [], ends: [], hasNextPage: false }
      : await listedRecords(context, request, narrowed.formula, fieldsToAsk(fields, schema));
  const place = { connectionId, baseId, table: schema };
  recordAllowance(context).take(listed.records.length);
  const nodes = listed.records.map((record) => nodeOf(place, record, fields, level + 1));
  for (const node of nodes) planner.remember(node);
  return {
    query,
    nodes,
    ends: listed.ends,
    hasPreviousPage: after !== null && after.count > 0,
    hasNextPage: listed.hasNextPage,
  };
}

/** Links are looked up with the records of this level, so that one call serves several listings. */
async function narrowedBy(
  context: GraphQLContext,
  { table, query, tests }: PageRequest,
): Promise<{ formula: string | null } | 'none'> {
  const { connectionId, baseId, level } = table;
  if (tests.length === 0) return { formula: query.formula };
  const base = await operationSchemas(context).load(connectionId, baseId);
  const linkedIds = await findLinkedIds(tests, base, (linked, recordId, fieldId) =>
    recordPlanner(context).load(
      { connectionId, baseId, table: linked, recordId, fields: new Set([fieldId]) },
      level + 1,
    ),
  );
  return conditionsFormula(tests, query.formula, linkedIds);
}

async function listedRecords(
  context: GraphQLContext,
  { table, schema, query, first, after }: PageRequest,
  formula: string | null,
  fields: string[] | undefined,
): Promise<ListedRecords> {
  const { connectionId, baseId } = table;
  const api = await openForReading(context)(connectionId);
  const { sort, view } = query;
  return listRecords({
    query,
    first,
    after,
    readPage: (offset, pageSize): Promise<WirePage> => {
      const parameters = {
        pageSize,
        ...(fields ? { fields } : {}),
        ...(formula === null ? {} : { filterByFormula: formula }),
        ...(sort.length === 0 ? {} : { sort: [...sort] }),
        ...(view === null ? {} : { view }),
        ...(offset === null ? {} : { offset }),
      };
      const send = () => api.listRecords(baseId, schema.id, parameters);
      if (!recordPlanner(context).mayShareReads) return send();
      const key = `${connectionId}/${baseId}/${schema.id}/${JSON.stringify(parameters)}`;
      return context.app.recordReads.pages.read(key, context.operation, send);
    },
  }).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'FIELD_NOT_FOUND')
      operationSchemas(context).forgetShared(baseId);
    throw error;
  });
}
