import { TableRef } from '../bases/schema.ts';
import { requireId } from '../calendly/ids.ts';
import { connectionArgument } from '../connections/connection-argument.ts';
import { builder } from '../graphql/builder.ts';
import { maxListLength, requireListLength } from '../graphql/list-slice.ts';
import { maxAgeArgument } from './freshness-fields.ts';
import { readMaxAge } from './copies/max-age.ts';
import { itemsOf, recordWork, selectionHere } from './operation-records.ts';
import { asTheyAreNow, type Freshness } from './record-node.ts';
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
      maxAge: t.arg(maxAgeArgument),
    },
    description: 'One record by its id; null when the table does not have it.',
    resolve: async (_root, args, context, info) => {
      const { connection: connectionId, baseId, tableId, recordId, maxAge } = args;
      requireId('app', baseId);
      context.caller.requireBase(connectionId, baseId);
      return oneOf(
        await recordWork(context).lookUp(
          { connectionId, baseId },
          tableId,
          [recordId],
          selectionHere(context, info),
          1,
          freshnessOf(maxAge),
        ),
      );
    },
  }),
);

builder.objectFields(TableRef, (t) => ({
  record: t.field({
    type: RecordRef,
    nullable: true,
    args: {
      id: t.arg.string({ required: true, description: 'Id of the record; starts with `rec`.' }),
      maxAge: t.arg(maxAgeArgument),
    },
    description: 'One record by its id; null when the table does not have it.',
    resolve: async (table, { id, maxAge }, context, info) =>
      oneOf(
        await recordWork(context).lookUp(
          table,
          table.schema.id,
          [id],
          selectionHere(context, info),
          table.level + 1,
          freshnessOf(maxAge),
        ),
      ),
  }),
  recordsById: t.field({
    type: [RecordRef],
    nullable: { list: true, items: true },
    args: {
      ids: t.arg.stringList({ required: true, description: `Ids of records, at most ${maxListLength}.` }),
      maxAge: t.arg(maxAgeArgument),
    },
    description:
      'Records by their ids, in the order of the ids; null for each that the table does not have. A hundred cost one call, wherever in the operation they stand.',
    resolve: async (table, { ids, maxAge }, context, info) => {
      requireListLength('ids', ids.length);
      return itemsOf(
        await recordWork(context).lookUp(
          table,
          table.schema.id,
          ids,
          selectionHere(context, info),
          table.level + 1,
          freshnessOf(maxAge),
        ),
      );
    },
  }),
}));

/** @throws AppError INVALID_INPUT */
function freshnessOf(maxAge: string | null | undefined): Freshness {
  const maxAgeMs = readMaxAge(maxAge);
  return maxAgeMs === null ? asTheyAreNow : { maxAgeMs, liveBecause: null };
}
