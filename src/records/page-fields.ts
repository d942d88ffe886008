import type { GraphQLResolveInfo } from 'graphql';
import { operationSchemas, TableRef, type TableNode } from '../bases/schema.ts';
import type { TableSchema } from '../bases/table-schema.ts';
import { AppError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import { maxListLength, pageLength } from '../graphql/list-slice.ts';
import { pendingWork } from '../graphql/pending-work.ts';
import { fieldsToAsk } from './field-set.ts';
import { fieldsNeeded, openForReading, recordAllowance, recordPlanner } from './operation-records.ts';
import { decodeCursor, encodeCursor, type RecordPosition, type RecordQuery } from './record-cursor.ts';
import { listRecords, type WirePage } from './record-listing.ts';
import { nodeOf } from './record-planner.ts';
import type { RecordNode } from './record-node.ts';
import { namesIn, type RecordSelection } from './record-selection.ts';
import { RecordRef } from './schema.ts';
import { fieldNodesBelow, recordSelection } from './selected-record.ts';

/** Longest formula, in characters. The upstream publishes no limit for the POST form that long ones take. */
const maxFormulaLength = 20_000;
const maxSortFields = 10;

interface RecordPage {
  query: RecordQuery;
  nodes: RecordNode[];
  ends: RecordPosition[];
  hasPreviousPage: boolean;
  hasNextPage: boolean;
}

const SortDirectionEnum = builder.enumType('SortDirection', {
  description: 'Which end comes first.',
  values: {
    ASC: {
      description: 'Smallest, earliest or first in the alphabet; empty cells come first.',
      value: 'asc',
    },
    DESC: { description: 'Largest, latest or last in the alphabet; empty cells come last.', value: 'desc' },
  } as const,
});

const RecordSortInput = builder.inputType('RecordSort', {
  description: 'A field to sort by. Selects are sorted in the order of their choices.',
  fields: (t) => ({
    field: t.string({ required: true, description: 'Id or exact name of the field.' }),
    direction: t.field({
      type: SortDirectionEnum,
      required: true,
      defaultValue: 'asc',
      description: 'Ascending by default.',
    }),
  }),
});

const RecordEdgeRef = builder.objectRef<{ page: RecordPage; index: number }>('RecordEdge').implement({
  description: 'A record in a page.',
  fields: (t) => ({
    cursor: t.string({
      description: 'Pass it as `after` to go on behind this record.',
      resolve: ({ page, index }) => encodeCursor(page.query, page.ends[index]!),
    }),
    node: t.field({
      type: RecordRef,
      nullable: true,
      description: 'The record.',
      resolve: ({ page, index }) => page.nodes[index]!,
    }),
  }),
});

const RecordPageRef = builder.objectRef<RecordPage>('RecordPage').implement({
  description: 'A page of records.',
  fields: (t) => ({
    edges: t.field({
      type: [RecordEdgeRef],
      description: 'The records with their cursors.',
      resolve: (page) => page.nodes.map((_node, index) => ({ page, index })),
    }),
    nodes: t.field({ type: [RecordRef], description: 'The records.', resolve: (page) => page.nodes }),
    pageInfo: t.field({
      type: builder.pageInfoRef(),
      description: 'Where the page begins and ends, and whether more follow.',
      resolve: ({ query, ends, hasPreviousPage, hasNextPage }) => ({
        hasPreviousPage,
        hasNextPage,
        startCursor: ends.length > 0 ? encodeCursor(query, ends[0]!) : null,
        endCursor: ends.length > 0 ? encodeCursor(query, ends.at(-1)!) : null,
      }),
    }),
  }),
});

builder.objectField(TableRef, 'records', (t) =>
  t.field({
    type: RecordPageRef,
    nullable: true,
    args: {
      formula: t.arg.string({
        description:
          'Only records for which this formula, in the language of the service, is neither 0, false, empty nor an error. Passed on as it is: never put text of your users into it.',
      }),
      sort: t.arg({
        type: [RecordSortInput],
        description: `Fields to sort by, the most important first; at most ${maxSortFields}. Goes before the order of the view.`,
      }),
      view: t.arg.string({
        description: 'Id or exact name of a view: only its records, and without `sort` in its order.',
      }),
      first: t.arg.int({
        description: `How many, 1 to ${maxListLength}; 50 by default. Each hundred costs one call.`,
      }),
      after: t.arg.string({
        description: 'The `endCursor` of the page before. The other arguments have to stay the same.',
      }),
    },
    description:
      'The records of the table, page by page. Only the selected cells are fetched. The service keeps a listing for some minutes; with `sort` or `view` we find the place again afterwards, without them the cursor expires.',
    resolve: (table, args, context, info) =>
      pendingWork(context).reading(table.level + 1, listPage(context, info, table, args)),
  }),
);

interface RecordsArguments {
  formula?: string | null;
  sort?: { field: string; direction: 'asc' | 'desc' }[] | null;
  view?: string | null;
  first?: number | null;
  after?: string | null;
}

async function listPage(
  context: GraphQLContext,
  info: GraphQLResolveInfo,
  table: TableNode,
  args: RecordsArguments,
): Promise<RecordPage> {
  const length = pageLength(args.first);
  const sort = args.sort ?? [];
  requireBounds(args.formula ?? null, sort.length);
  const selection = pageSelection(info);
  const schema = await operationSchemas(context).table(table.connectionId, table.baseId, table.schema.id, [
    ...namesIn(selection),
    ...sort.map(({ field }) => field),
  ]);
  const query: RecordQuery = {
    connectionId: table.connectionId,
    baseId: table.baseId,
    tableId: schema.id,
    formula: args.formula || null,
    sort: sort.map(({ field, direction }) => ({ field: schema.getField(field).id, direction })),
    view: args.view || null,
  };
  const after = args.after == null ? null : decodeCursor(query, args.after);
  return readPage(context, table, schema, query, selection, length, after);
}

function requireBounds(formula: string | null, sortFields: number): void {
  if (formula !== null && formula.length > maxFormulaLength) {
    throw new AppError('INVALID_INPUT', `"formula" may have at most ${maxFormulaLength} characters.`, {
      details: { argument: 'formula', max: maxFormulaLength },
    });
  }
  if (sortFields > maxSortFields) {
    throw new AppError('TOO_MANY', `"sort" may name at most ${maxSortFields} fields, not ${sortFields}.`, {
      details: { argument: 'sort', max: maxSortFields, given: sortFields },
    });
  }
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

async function readPage(
  context: GraphQLContext,
  table: TableNode,
  schema: TableSchema,
  query: RecordQuery,
  selection: RecordSelection,
  first: number,
  after: RecordPosition | null,
): Promise<RecordPage> {
  const { connectionId, baseId, level } = table;
  const planner = recordPlanner(context);
  const fields = fieldsNeeded(context, { connectionId, baseId }, schema, selection);
  const api = await openForReading(context)(connectionId);
  const { formula, sort, view } = query;
  const asked = fieldsToAsk(fields, schema);
  const listed = await listRecords({
    query,
    first,
    after,
    readPage: (offset, pageSize): Promise<WirePage> => {
      const parameters = {
        pageSize,
        ...(asked ? { fields: asked } : {}),
        ...(formula === null ? {} : { filterByFormula: formula }),
        ...(sort.length === 0 ? {} : { sort: [...sort] }),
        ...(view === null ? {} : { view }),
        ...(offset === null ? {} : { offset }),
      };
      const send = () => api.listRecords(baseId, schema.id, parameters);
      if (!planner.mayShareReads) return send();
      const key = `${connectionId}/${baseId}/${schema.id}/${JSON.stringify(parameters)}`;
      return context.app.recordReads.pages.read(key, context.operation, send);
    },
  }).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'FIELD_NOT_FOUND')
      operationSchemas(context).forgetShared(baseId);
    throw error;
  });
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
