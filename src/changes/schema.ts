import { operationSchemas } from '../bases/schema.ts';
import { isUpstreamId, requireId } from '../calendly/ids.ts';
import { AppError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import { maxListLength, pageLength, requireListLength } from '../graphql/list-slice.ts';
import { beforeLookups } from '../graphql/pending-work.ts';
import { lookUp, oneOf, selectionHere } from '../records/operation-records.ts';
import { RecordNode } from '../records/record-node.ts';
import { RecordRef } from '../records/schema.ts';
import { readChanges, type ChangeList } from './change-list.ts';
import type { Feed } from './feed.ts';
import type { Actor, ChangeEntry, LoggedField, LoggedSchemaChange, Loss, SchemaEntry } from './log-entry.ts';
import { encodeCursor, type Position } from './position.ts';
import { subscribeToFeed, type SubscriptionEnded } from './subscription.ts';
import type { FeedEvent } from './record-changes.ts';

/** Where a thing of the log stands, and through which connection it is read. */
interface Place {
  connectionId: number;
  feed: Feed;
  position: Position;
}
type RecordChangeNode = Place & { type: 'change'; entry: ChangeEntry };
type SchemaChangeNode = Place & { type: 'schema'; entry: SchemaEntry };
type FeedPositionNode = Place & { type: 'position'; at: Date };
type ChangesLostNode = Place & { type: 'lost'; loss: Loss };

const cursorOf = ({ feed, position }: Place): string => encodeCursor(feed.key, position);

const ChangeKindEnum = builder.enumType('ChangeKind', {
  description: 'What happened to a record.',
  values: {
    CREATED: { value: 'created', description: 'It was created.' },
    UPDATED: { value: 'updated', description: 'Some of its cells changed.' },
    DELETED: { value: 'deleted', description: 'It was deleted.' },
  } as const,
});

const LossReasonEnum = builder.enumType('LossReason', {
  description: 'Why changes may be missing.',
  values: {
    WEBHOOK_GONE: {
      value: 'webhook_gone',
      description: 'For a while no webhook lived that would have recorded them.',
    },
    PAYLOADS_MISSING: {
      value: 'payloads_missing',
      description: 'The upstream recorded them but no longer has them: it keeps them for seven days.',
    },
    PAYLOAD_UNREADABLE: {
      value: 'payload_unreadable',
      description: 'The upstream recorded an error in place of changes.',
    },
    CURSOR_PRUNED: {
      value: 'cursor_pruned',
      description: 'They were in the log but are older than it is kept.',
    },
  } as const,
});

const ActorRef = builder.objectRef<Actor>('Actor').implement({
  description: 'The user who made a change.',
  fields: (t) => ({
    id: t.exposeString('id', { description: "The user's id at the service." }),
    name: t.exposeString('name', { nullable: true, description: 'The name, if it was told.' }),
    email: t.exposeString('email', { nullable: true, description: 'The e-mail address, if it was told.' }),
  }),
});

const FieldChangeRef = builder.objectRef<LoggedField>('FieldChange').implement({
  description: 'One cell before and after a change.',
  fields: (t) => ({
    id: t.exposeString('id', { description: 'Id of the field; starts with `fld`.' }),
    name: t.exposeString('name', {
      nullable: true,
      description: 'What the field was called then; null when that was not known.',
    }),
    previous: t.field({
      type: 'JSON',
      nullable: true,
      description: 'The value before; null when it was empty.',
      resolve: (field) => field.previous,
    }),
    current: t.field({
      type: 'JSON',
      nullable: true,
      description: 'The value after; null when it was emptied.',
      resolve: (field) => field.current,
    }),
  }),
});

export const RecordChangeRef = builder.objectRef<RecordChangeNode>('RecordChange').implement({
  description: 'A record was created, updated or deleted.',
  fields: (t) => ({
    cursor: t.field({
      type: 'Cursor',
      description: 'Pass it as `after` to go on behind this change.',
      resolve: cursorOf,
    }),
    kind: t.field({
      type: ChangeKindEnum,
      description: 'What happened.',
      resolve: ({ entry }) => entry.kind,
    }),
    recordId: t.string({
      description: 'Id of the record; starts with `rec`.',
      resolve: ({ entry }) => entry.recordId,
    }),
    tableId: t.string({
      description: 'Id of its table; starts with `tbl`.',
      resolve: ({ entry }) => entry.tableId,
    }),
    occurredAt: t.field({
      type: 'DateTime',
      description: 'When it happened, by the clock of the service.',
      resolve: ({ entry }) => entry.occurredAt,
    }),
    source: t.string({
      description:
        'Where it came from, in the words of the service: `client`, `publicApi`, `formSubmission`, `automation`, `sync`… New ones may appear at any time.',
      resolve: ({ entry }) => entry.source,
    }),
    actor: t.field({
      type: ActorRef,
      nullable: true,
      description: 'Who did it; null when nobody is named.',
      resolve: ({ entry }) => entry.actor,
    }),
    fields: t.field({
      type: [FieldChangeRef],
      description: 'The cells that changed; empty for deletions.',
      resolve: ({ entry }) => entry.fields,
    }),
    record: t.field({
      type: RecordRef,
      nullable: true,
      description:
        'The record as the change left it, from our log: asking for it costs no upstream call. Null when it was deleted.',
      resolve: ({ connectionId, feed, entry }) =>
        entry.cells === null ? null : loggedRecord(connectionId, feed, entry, entry.cells),
    }),
    liveRecord: t.field({
      type: RecordRef,
      nullable: true,
      description: 'The record as it is now, fetched from the service; null when it is gone.',
      resolve: async ({ connectionId, feed, entry }, _args, context, info) => {
        if (entry.kind === 'deleted') return null;
        const place = { connectionId, baseId: feed.baseId };
        return oneOf(
          await lookUp(context, place, entry.tableId, [entry.recordId], selectionHere(context, info), 1),
        );
      },
    }),
    leftFilter: t.boolean({
      description:
        'Whether the record no longer matches the filter of the subscription. It is told once, when it leaves.',
      resolve: () => false,
    }),
  }),
});

function loggedRecord(
  connectionId: number,
  feed: Feed,
  entry: ChangeEntry,
  cells: Record<string, unknown>,
): RecordNode {
  return new RecordNode({
    connectionId,
    baseId: feed.baseId,
    tableId: entry.tableId,
    id: entry.recordId,
    createdTime: entry.recordCreatedAt?.toISOString() ?? null,
    cells,
    known: 'all',
  });
}

const SchemaEditRef = builder.objectRef<LoggedSchemaChange>('SchemaEdit').implement({
  description: 'One table or field that was created, changed or deleted.',
  fields: (t) => ({
    kind: t.string({
      description:
        '`tableCreated`, `tableChanged`, `tableDeleted`, `fieldCreated`, `fieldChanged` or `fieldDeleted`. New ones may appear at any time.',
      resolve: (edit) => edit.kind,
    }),
    tableId: t.exposeString('tableId', { description: 'Id of the table.' }),
    fieldId: t.exposeString('fieldId', {
      nullable: true,
      description: 'Id of the field; null for changes of the table itself.',
    }),
    previous: t.field({
      type: 'JSON',
      nullable: true,
      description: 'Name, description or type before, as far as told.',
      resolve: (edit) => edit.previous,
    }),
    current: t.field({
      type: 'JSON',
      nullable: true,
      description: 'Name, description or type after, as far as told.',
      resolve: (edit) => edit.current,
    }),
  }),
});

const SchemaChangeRef = builder.objectRef<SchemaChangeNode>('SchemaChange').implement({
  description: 'Tables or fields of the base changed. Told to every subscriber of the base.',
  fields: (t) => ({
    cursor: t.field({
      type: 'Cursor',
      description: 'Pass it as `after` to go on behind this change.',
      resolve: cursorOf,
    }),
    occurredAt: t.field({
      type: 'DateTime',
      description: 'When it happened, by the clock of the service.',
      resolve: ({ entry }) => entry.occurredAt,
    }),
    source: t.string({
      description: 'Where it came from, in the words of the service.',
      resolve: ({ entry }) => entry.source,
    }),
    actor: t.field({
      type: ActorRef,
      nullable: true,
      description: 'Who did it; null when nobody is named.',
      resolve: ({ entry }) => entry.actor,
    }),
    edits: t.field({
      type: [SchemaEditRef],
      description: 'What changed.',
      resolve: ({ entry }) => entry.changes,
    }),
  }),
});

const FeedPositionRef = builder.objectRef<FeedPositionNode>('FeedPosition').implement({
  description:
    'Where the subscription stands. The first event of each subscription: everything that you read after it is at least as new. Comes again every 30 seconds, so that a subscriber whose filter hides everything has a cursor to resume from.',
  fields: (t) => ({
    cursor: t.field({
      type: 'Cursor',
      description: 'Pass it as `after` to go on from here.',
      resolve: cursorOf,
    }),
    at: t.field({
      type: 'DateTime',
      description: 'When it was told, by our clock.',
      resolve: ({ at }) => at,
    }),
  }),
});

const ChangesLostRef = builder.objectRef<ChangesLostNode>('ChangesLost').implement({
  description:
    'Changes between two moments may have been lost: read again what you keep. What comes after is complete.',
  fields: (t) => ({
    cursor: t.field({ type: 'Cursor', description: 'Lies behind the hole.', resolve: cursorOf }),
    reason: t.field({
      type: LossReasonEnum,
      description: 'Why they were lost.',
      resolve: ({ loss }) => loss.reason,
    }),
    since: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Nothing before is lost; null when that is not known.',
      resolve: ({ loss }) => loss.since,
    }),
    until: t.field({
      type: 'DateTime',
      description: 'Nothing after is lost.',
      resolve: ({ loss }) => loss.until,
    }),
  }),
});

const RecordChangeEventUnion = builder.unionType('RecordChangeEvent', {
  description:
    'What a subscription to record changes tells. Each event carries a cursor: keep the newest, and pass it as `after` when you subscribe again.',
  types: [RecordChangeRef, SchemaChangeRef, FeedPositionRef, ChangesLostRef],
  resolveType: ({ type }) =>
    ({ change: RecordChangeRef, schema: SchemaChangeRef, position: FeedPositionRef, lost: ChangesLostRef })[
      type
    ],
});

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
      ? [{ type: 'change', connectionId, feed, position: entry.position, entry }]
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
      resolve: ({ feed, entries, hasMore, after }) => {
        const cursor = (position: Position | undefined) =>
          feed && position ? encodeCursor(feed.key, position) : null;
        return {
          hasNextPage: hasMore,
          hasPreviousPage: after !== null,
          startCursor: cursor(entries[0]?.position),
          endCursor: cursor(entries.at(-1)?.position) ?? after,
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
      connection: t.arg.int({ required: true, description: 'The number of the connection.' }),
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
    args: { first: t.arg.int({ description: `How many, 1 to ${maxListLength}; 50 by default.` }) },
    description: 'What happened to this record, newest first, from our own log.',
    resolve: (record, args, context) =>
      beforeLookups(
        context,
        (async () => {
          const { connectionId, baseId, id } = record;
          const first = pageLength(args.first);
          const feed = await context.app.webhooks.findFeed(connectionId, baseId, context.operation);
          const entries = feed ? await context.app.changeLog.historyOf(feed.id, id, first + 1) : [];
          return {
            connectionId,
            feed,
            entries: entries.slice(0, first),
            hasMore: entries.length > first,
            after: null,
          };
        })(),
      ),
  }),
);

builder.subscriptionField('recordChanges', (t) =>
  t.field({
    type: RecordChangeEventUnion,
    args: {
      connection: t.arg.int({ required: true, description: 'The number of the connection.' }),
      baseId: t.arg.string({ required: true, description: 'Id of the base; starts with `app`.' }),
      tableId: t.arg.string({ description: 'Only changes in this table, by id or exact name.' }),
      recordIds: t.arg.stringList({
        description: `Only changes of these records, at most ${maxListLength}.`,
      }),
      kinds: t.arg({ type: [ChangeKindEnum], description: 'Only changes of these kinds.' }),
      fields: t.arg.stringList({
        description:
          'Only updates that changed one of these fields, by id or exact name. Creations and deletions are told in any case.',
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
      const { feed } = await context.app.webhooks.ensure(connectionId, baseId, context.operation);
      const filter = {
        tableId: await tableIdOf(args.tableId, connectionId, baseId, context),
        recordIds: args.recordIds && new Set(args.recordIds),
        kinds: args.kinds && new Set(args.kinds),
        fields: args.fields && new Set(args.fields),
      };
      const { changeFeeds: feeds, connectionWatch: watch, logger } = context.app;
      const show = (event: FeedEvent | SubscriptionEnded) => ({ ...event, connectionId, feed });
      return subscribeToFeed(feed, {
        connectionId,
        after: args.after ?? null,
        filter,
        feeds,
        watch,
        logger,
        show,
      });
    },
    resolve: (event) => {
      if (event.type === 'ended') throw event.error;
      return event;
    },
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

/** Names are looked up in the schema; an id is taken as it is, so that a deleted table can still be asked for. */
async function tableIdOf(
  idOrName: string | null | undefined,
  connectionId: number,
  baseId: string,
  context: GraphQLContext,
): Promise<string | null> {
  if (idOrName == null || isUpstreamId('tbl', idOrName)) return idOrName ?? null;
  if (idOrName === '')
    throw new AppError('INVALID_INPUT', '"tableId" is empty. Leave it out to get the changes of all tables.');
  return (await operationSchemas(context).table(connectionId, baseId, idOrName)).id;
}
