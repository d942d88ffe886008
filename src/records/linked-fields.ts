import { operationSchemas } from '../bases/schema.ts';
import type { TableSchema } from '../bases/table-schema.ts';
import { AppError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import { maxListLength, pageLength } from '../graphql/list-slice.ts';
import { readLinks } from './cell-values.ts';
import { noFields } from './field-set.ts';
import { itemsOf, recordWork, selectionHere } from './operation-records.ts';
import { RecordNode, RecordOrigin } from './record-node.ts';
import { fieldArgument, readOne, RecordRef } from './schema.ts';

builder.objectFields(RecordRef, (t) => ({
  linked: t.field({
    type: [RecordRef],
    nullable: { list: true, items: true },
    args: {
      field: t.arg.string({ required: true, description: fieldArgument }),
      first: t.arg.int({ description: `How many, 1 to ${maxListLength}; 50 by default.` }),
      after: t.arg.string({
        description: 'Id of the last linked record that you have; the list goes on behind it.',
      }),
    },
    description:
      'The records behind a link field, in the order of the cell. All of one level of the operation are fetched together, a hundred per call. Null stands for a record that is gone.',
    resolve: async (record, { field, first, after }, context, info) => {
      const links = await readOne(record, field, context, readLinks);
      const start = after == null ? 0 : startBehind(after, links);
      const ids = links.slice(start, start + pageLength(first));
      const table = await linkedTable(record, field, context);
      const selection = selectionHere(context, info);
      if (selection.needsRecord)
        return itemsOf(
          await recordWork(context).loadAll(
            record,
            table,
            ids,
            selection,
            record.level + 1,
            record.origin.freshness,
          ),
        );
      recordWork(context).allowance.take(ids.length);
      return linksTo(record, table, ids);
    },
  }),
  linkedCount: t.int({
    nullable: true,
    args: { field: t.arg.string({ required: true, description: fieldArgument }) },
    description: 'How many records a link field leads to.',
    resolve: async (record, { field }, context) => (await readOne(record, field, context, readLinks)).length,
  }),
}));

function startBehind(after: string, ids: readonly string[]): number {
  const index = ids.indexOf(after);
  if (index >= 0) return index + 1;
  throw new AppError(
    'CURSOR_INVALID',
    'The record id in "after" is not among the linked records any more. Begin without it.',
    {
      details: { argument: 'after' },
    },
  );
}

/** @throws AppError TABLE_NOT_FOUND when the table behind the link cannot be seen */
async function linkedTable(
  record: RecordNode,
  fieldName: string,
  context: GraphQLContext,
): Promise<TableSchema> {
  const { connectionId, baseId, tableId } = record;
  const schemas = operationSchemas(context);
  const base = schemas.ready(connectionId, baseId) ?? (await schemas.load(connectionId, baseId));
  const field = (record.table ?? base.getTable(tableId)).getField(fieldName);
  return base.getTable(field.linkedTableId ?? tableId);
}

/** Records of which no more is needed than their ids. */
function linksTo(
  { connectionId, baseId, level, origin: { source, readAt, freshness } }: RecordNode,
  table: TableSchema,
  ids: string[],
): RecordNode[] {
  const origin = new RecordOrigin({
    connectionId,
    baseId,
    tableId: table.id,
    known: noFields,
    table,
    level: level + 1,
    source,
    readAt,
    freshness,
  });
  return ids.map((id) => new RecordNode(origin, { id, createdTime: null, cells: {} }));
}
