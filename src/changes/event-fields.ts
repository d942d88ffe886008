import { builder } from '../graphql/builder.ts';
import type { LoggedSchemaChange, Loss, SchemaEntry } from './log-entry.ts';
import { ActorRef, cursorOf, RecordChangeRef, type Place } from './schema.ts';

type SchemaChangeNode = Place & { type: 'schema'; entry: SchemaEntry };
type FeedPositionNode = Place & { type: 'position'; at: Date };
export type ChangesLostNode = Place & { type: 'lost'; loss: Loss };

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
    PAYLOAD_TOO_LARGE: {
      value: 'payload_too_large',
      description: 'The upstream recorded them as one piece that is larger than is read, which is 25 MiB.',
    },
    CURSOR_PRUNED: {
      value: 'cursor_pruned',
      description: 'They were in the log but are older than it is kept.',
    },
  } as const,
});

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
    'Where the subscription stands. The first event of each subscription: everything that you read after it is at least as new. Comes again at least every 30 seconds, so that a subscriber whose filter hides everything has a cursor to resume from.',
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

export const ChangesLostRef = builder.objectRef<ChangesLostNode>('ChangesLost').implement({
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

export const RecordChangeEventUnion = builder.unionType('RecordChangeEvent', {
  description:
    'What a subscription to record changes tells. Each event carries a cursor: keep the newest, and pass it as `after` when you subscribe again.',
  types: [RecordChangeRef, SchemaChangeRef, FeedPositionRef, ChangesLostRef],
  resolveType: ({ type }) =>
    ({ change: RecordChangeRef, schema: SchemaChangeRef, position: FeedPositionRef, lost: ChangesLostRef })[
      type
    ],
});
