import { requireId } from '../calendly/ids.ts';
import { connectionArgument } from '../connections/connection-argument.ts';
import { builder } from '../graphql/builder.ts';
import { maxListLength, requireListLength } from '../graphql/list-slice.ts';
import { shared } from '../graphql/shared-source.ts';
import { RecordFilterInput } from '../records/filters/filter-fields.ts';
import { readConditions } from '../records/filters/record-conditions.ts';
import { RecordChangeEventUnion } from './event-fields.ts';
import { cellFilterOf } from './filter-fields.ts';
import { ChangeKindEnum } from './schema.ts';
import { subscribeToFeed } from './subscription.ts';
import { fieldIdsOf, tableIdOf } from './table-fields.ts';

builder.subscriptionField('recordChanges', (t) =>
  t.field({
    type: RecordChangeEventUnion,
    args: {
      connection: t.arg.int(connectionArgument),
      baseId: t.arg.string({ required: true, description: 'Id of the base; starts with `app`.' }),
      tableId: t.arg.string({ description: 'Only changes in this table, by id or exact name.' }),
      recordIds: t.arg.stringList({
        description: `Only changes of these records, at most ${maxListLength}.`,
      }),
      kinds: t.arg({ type: [ChangeKindEnum], description: 'Only changes of these kinds.' }),
      filter: t.arg({
        type: RecordFilterInput,
        description:
          'Only changes of records that pass this afterwards, and deletions; a record that stops passing is told once, with `leftFilter`. Needs `tableId`, unless the base has one table. Takes what `records` takes, except for computed fields.',
      }),
      fields: t.arg.stringList({
        description:
          'Only updates that changed one of these fields, by id or exact name. Creations, deletions and records that leave the `filter` are told in any case.',
      }),
      after: t.arg({
        type: 'Cursor',
        description: 'Go on behind this cursor, with nothing missing or repeated. From now on by default.',
      }),
    },
    description:
      'Tells what changes in a base. Each event carries a cursor: subscribe again with the newest one as `after`, on any instance, and everything that happened meanwhile is told first. Needs a connection with the scopes `webhook:manage` and `data.records:read`.',
    subscribe: async (_root, args, context) => {
      const { connection: connectionId, baseId } = args;
      requireId('app', baseId);
      context.caller.requireBase(connectionId, baseId);
      requireListLength('recordIds', args.recordIds?.length ?? 0);
      requireListLength('fields', args.fields?.length ?? 0);
      const conditions = args.filter ? readConditions({ filter: args.filter }) : null;
      return context.app.subscriptionStarts.run(baseId, context.operation, async () => {
        const { feed } = await context.app.webhooks.ensure(connectionId, baseId, context.operation);
        const filtered =
          conditions && (await cellFilterOf(conditions, args.tableId, connectionId, feed, context));
        const filter = {
          tableId: filtered?.tableId ?? (await tableIdOf(args.tableId, connectionId, baseId, context)),
          cells: filtered?.cells,
          recordIds: args.recordIds && new Set(args.recordIds),
          kinds: args.kinds && new Set(args.kinds),
          fieldIds: await fieldIdsOf(args.fields, args.tableId, { connectionId, baseId }, context),
        };
        const { changeFeeds: feeds, connectionWatch: watch, logger } = context.app;
        const more = { connectionId, feed };
        const after = context.lastEventId ?? args.after ?? null;
        return shared(
          await subscribeToFeed(feed, { connectionId, after, filter, feeds, watch, logger, more }),
        );
      });
    },
    resolve: (event) => {
      if (event.type === 'ended') throw event.error;
      return event;
    },
  }),
);
