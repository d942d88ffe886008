import { TableRef } from '../bases/schema.ts';
import { requireId } from '../calendly/ids.ts';
import { connectionArgument } from '../connections/connection-argument.ts';
import { builder } from '../graphql/builder.ts';
import { maxListLength, requireListLength } from '../graphql/list-slice.ts';
import { itemsOf, recordWork, selectionHere } from './operation-records.ts';
import { oneOf } from './record-work.ts';
import { RecordRef } from './schema.ts';

builder.queryField('record', (t) =>
  t.field({
    type: RecordRef,
    nullable: true,
    args: {
      connection: t.arg.int(connectionArgument),
      baseId: t.arg.string({ required: true, description: 'Id of the base; starts with `app`.' }),
      tableId: t.arg.string({ required: true, description: 'Id or exact name of the table.' }),
      recordId: t.arg.string({ required: true, description: 'Id of the record; starts with `rec`.' }),
    },
    description: 'One record by its id; null when the table does not have it.',
    resolve: async (_root, { connection: connectionId, baseId, tableId, recordId }, context, info) => {
      requireId('app', baseId);
      context.caller.requireBase(connectionId, baseId);
      return oneOf(
        await recordWork(context).lookUp(
          { connectionId, baseId },
          tableId,
          [recordId],
          selectionHere(context, info),
          1,
        ),
      );
    },
  }),
);

builder.objectFields(TableRef, (t) => ({
  record: t.field({
    type: RecordRef,
    nullable: true,
    args: { id: t.arg.string({ required: true, description: 'Id of the record; starts with `rec`.' }) },
    description: 'One record by its id; null when the table does not have it.',
    resolve: async (table, { id }, context, info) =>
      oneOf(
        await recordWork(context).lookUp(
          table,
          table.schema.id,
          [id],
          selectionHere(context, info),
          table.level + 1,
        ),
      ),
  }),
  recordsById: t.field({
    type: [RecordRef],
    nullable: { list: true, items: true },
    args: {
      ids: t.arg.stringList({ required: true, description: `Ids of records, at most ${maxListLength}.` }),
    },
    description:
      'Records by their ids, in the order of the ids; null for each that the table does not have. A hundred cost one call, wherever in the operation they stand.',
    resolve: async (table, { ids }, context, info) => {
      requireListLength('ids', ids.length);
      return itemsOf(
        await recordWork(context).lookUp(
          table,
          table.schema.id,
          ids,
          selectionHere(context, info),
          table.level + 1,
        ),
      );
    },
  }),
}));
