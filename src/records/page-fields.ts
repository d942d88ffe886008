import type { GraphQLResolveInfo } from 'graphql';
import { TableRef } from '../bases/schema.ts';
import { builder } from '../graphql/builder.ts';
import { maxListLength, pageLength } from '../graphql/list-slice.ts';
import { pendingWork } from '../graphql/pending-work.ts';
import { RecordFilterInput } from './filters/filter-fields.ts';
import { recordWork } from './operation-records.ts';
import {
  freshnessDescriptions,
  LiveReasonEnum,
  maxAgeArgument,
  RecordSourceEnum,
  timeOf,
} from './freshness-fields.ts';
import { listPage, maxSortFields, type RecordPage } from './record-page.ts';
import { RecordRef } from './schema.ts';
import type { RecordSelection } from './record-selection.ts';
import { fieldNodesBelow, recordSelection } from './selected-record.ts';
import { maxSearchLength } from './filters/text-search.ts';

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
      resolve: ({ page, index }) => page.cursorBehind(index)!,
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
      resolve: ({ nodes, cursorBehind, hasPreviousPage, hasNextPage }) => ({
        hasPreviousPage,
        hasNextPage,
        startCursor: cursorBehind(0),
        endCursor: cursorBehind(nodes.length - 1),
      }),
    }),
    source: t.field({
      type: RecordSourceEnum,
      description: freshnessDescriptions.source,
      resolve: ({ source }) => source,
    }),
    asOf: t.field({
      type: 'DateTime',
      nullable: true,
      description: freshnessDescriptions.asOf,
      resolve: ({ asOf }) => timeOf(asOf),
    }),
    liveBecause: t.field({
      type: LiveReasonEnum,
      nullable: true,
      description: freshnessDescriptions.liveBecause,
      resolve: ({ freshness }) => freshness.liveBecause,
    }),
  }),
});

builder.objectField(TableRef, 'records', (t) =>
  t.field({
    type: RecordPageRef,
    nullable: true,
    args: {
      filter: t.arg({
        type: RecordFilterInput,
        description: 'Only records that pass this. Safe for whatever your users type.',
      }),
      search: t.arg.string({
        description: `Only records with this text, whatever its case, in one of their texts: text fields of all kinds, e-mail, address and phone fields, single selects, and formulas and rollups that give a text. At most ${maxSearchLength} characters; blanks around it do not count, and an empty one searches nothing.`,
      }),
      formula: t.arg.string({
        description:
          'For experts: only records for which this formula, in the language of the service, is neither 0, false, empty nor an error. Passed on as it is: never put text of your users into it. Together with `filter` and `search`, all have to let a record through.',
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
      maxAge: t.arg(maxAgeArgument),
    },
    description:
      'The records of the table, page by page. Only the selected cells are fetched. The service keeps a listing for some minutes; with `sort` or `view` we find the place again afterwards, without them the cursor expires.',
    resolve: (table, args, context, info) => {
      const { connectionId, baseId, schema, level } = table;
      const wanted = { first: pageLength(args.first), selection: pageSelection(info) };
      const place = { connectionId, baseId, tableId: schema.id, level };
      return pendingWork(context).reading(level + 1, listPage(recordWork(context), place, args, wanted));
    },
  }),
);

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
