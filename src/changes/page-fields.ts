import { requireId } from '../calendly/ids.ts';
import { connectionArgument } from '../connections/connection-argument.ts';
import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import { maxListLength, pageLength } from '../graphql/list-slice.ts';
import { beforeLookups } from '../graphql/pending-work.ts';
import { recordWork } from '../records/operation-records.ts';
import { RecordRef } from '../records/schema.ts';
import { readChanges, type ChangeList } from './change-list.ts';
import { ChangesLostRef } from './event-fields.ts';
import type { Feed } from './feed.ts';
import { decodeCursor, encodeCursor, type Position } from './position.ts';
import { cursorOf, RecordChangeRef, type RecordChangeNode } from './schema.ts';
import { tableIdOf } from './table-fields.ts';

const ChangeEdgeRef = builder.objectRef<RecordChangeNode>('ChangeEdge').implement({
  description: 'A change and its cursor.',
  fields: (t) => ({
    cursor: t.field({
      type: 'Cursor',
      description: 'Pass it as `after` to go on behind this change.',
      resolve: cursorOf,
    }),
    node: t.field({ type: RecordChangeRef, description: 'The change.', resolve: (change) => change }),
  }),
});

type ChangePageNode = ChangeList & { connectionId: number };

const changesOf = ({ connectionId, feed, entries }: ChangePageNode): RecordChangeNode[] =>
  entries.flatMap((entry) =>
    feed && entry.kind !== 'lost' && entry.kind !== 'schema'
      ? [{ type: 'change', connectionId, feed, position: entry.position, entry, leftFilter: false }]
      : [],
  );

const ChangePageRef = builder.objectRef<ChangePageNode>('ChangePage').implement({
  description: 'A part of the change log of a base.',
  fields: (t) => ({
    edges: t.field({
      type: [ChangeEdgeRef],
      description: 'The changes with their cursors.',
      resolve: changesOf,
    }),
    nodes: t.field({ type: [RecordChangeRef], description: 'The changes.', resolve: changesOf }),
    losses: t.field({
      type: [ChangesLostRef],
      description: 'Holes between the changes of this page.',
      resolve: ({ connectionId, feed, entries }) =>
        entries.flatMap((entry) =>
          feed && entry.kind === 'lost'
            ? [{ type: 'lost' as const, connectionId, feed, position: entry.position, loss: entry.loss }]
            : [],
        ),
    }),
    loggedSince: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'How far back the log reaches. Null when the base never had a webhook: subscribe, or use createWebhook, to begin.',
      resolve: ({ feed }) => feed?.prunedUntil ?? null,
    }),
    pageInfo: t.field({
      type: builder.pageInfoRef(),
      description: 'Whether there is more, and where to go on.',
      resolve: ({ feed, entries, hasMore, after, from }) => {
        const cursor = (position: Position | undefined) =>
          feed && position ? encodeCursor(feed.key, position) : null;
        return {
          hasNextPage: hasMore,
          hasPreviousPage: after !== null,
          startCursor: cursor(entries[0]?.position),
          endCursor: cursor(entries.at(-1)?.position) ?? from,
        };
      },
    }),
  }),
});

builder.queryField('changes', (t) =>
  t.field({
    type: ChangePageRef,
    nullable: true,
    args: {
      connection: t.arg.int(connectionArgument),
      baseId: t.arg.string({ required: true, description: 'Id of the base; starts with `app`.' }),
      tableId: t.arg.string({ description: 'Only changes in this table, by id or exact name.' }),
      recordId: t.arg.string({ description: 'Only changes of this record.' }),
      after: t.arg({
        type: 'Cursor',
        description: 'Only what lies behind this cursor; from the oldest kept change by default.',
      }),
      first: t.arg.int({ description: `How many, 1 to ${maxListLength}; 50 by default.` }),
    },
    description:
      'What changed in a base, oldest first, from our own log. A cursor that is older than the log fails with CURSOR_EXPIRED, one of another base with CURSOR_INVALID.',
    resolve: (_root, args, context) =>
      beforeLookups(
        context,
        (async () => {
          const { connection: connectionId, baseId } = args;
          const first = pageLength(args.first);
          const feed = await visibleFeed(connectionId, baseId, context);
          const tableId = await tableIdOf(args.tableId, connectionId, baseId, context);
          const filter = { tableId, recordId: args.recordId ?? null };
          return {
            connectionId,
            ...(await readChanges(context.app.changeLog, feed, { after: args.after ?? null, first, filter })),
          };
        })(),
      ),
  }),
);

builder.objectField(RecordRef, 'changes', (t) =>
  t.field({
    type: ChangePageRef,
    nullable: true,
    args: {
      after: t.arg({
        type: 'Cursor',
        description:
          'Only what is older than the change with this cursor; from the newest change by default.',
      }),
      first: t.arg.int({ description: `How many, 1 to ${maxListLength}; 50 by default.` }),
    },
    description: 'What happened to this record, newest first, from our own log.',
    resolve: (record, args, context) =>
      beforeLookups(
        context,
        (async () => {
          const { connectionId, baseId, id } = record;
          const first = pageLength(args.first);
          const feed = await context.app.webhooks.findFeed(connectionId, baseId, context.operation);
          const after = args.after ?? null;
          const before = feed && after !== null ? decodeCursor(feed.key, after) : null;
          const entries = feed ? await context.app.changeLog.historyOf(feed.id, id, before, first + 1) : [];
          // A change leads to its record and that one to its changes again: each place counts.
          recordWork(context).allowance.take(entries.length);
          return {
            connectionId,
            feed,
            entries: entries.slice(0, first),
            hasMore: entries.length > first,
            after,
            from: after,
          };
        })(),
      ),
  }),
);

function visibleFeed(
  connectionId: number,
  baseId: string,
  { app, caller, operation }: GraphQLContext,
): Promise<Feed | null> {
  requireId('app', baseId);
  caller.requireBase(connectionId, baseId);
  return app.webhooks.findFeed(connectionId, baseId, operation);
}
