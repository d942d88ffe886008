import { builder } from '../graphql/builder.ts';
import { recordWork, selectionHere } from '../records/operation-records.ts';
import { RecordNode, RecordOrigin } from '../records/record-node.ts';
import { oneOf } from '../records/record-work.ts';
import { RecordRef } from '../records/schema.ts';
import type { Feed } from './feed.ts';
import type { Actor, ChangeEntry, LoggedField } from './log-entry.ts';
import { encodeCursor, type Position } from './position.ts';

/** Where a thing of the log stands, and through which connection it is read. */
export interface Place {
  connectionId: number;
  feed: Feed;
  position: Position;
}
export type RecordChangeNode = Place & { type: 'change'; entry: ChangeEntry; leftFilter: boolean };

export const cursorOf = ({ feed, position }: Place): string => encodeCursor(feed.key, position);

export const ChangeKindEnum = builder.enumType('ChangeKind', {
  description: 'What happened to a record.',
  values: {
    CREATED: { value: 'created', description: 'It was created.' },
    UPDATED: { value: 'updated', description: 'Some of its cells changed.' },
    DELETED: { value: 'deleted', description: 'It was deleted.' },
  } as const,
});

export const ActorRef = builder.objectRef<Actor>('Actor').implement({
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
      description: 'The value before; null when it was empty, or was not told.',
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
        'The record as the change left it, from our log: asking for it costs no upstream call. Null when it was deleted, or when the service told only what changed.',
      resolve: ({ connectionId, feed, entry }) =>
        entry.cells === null ? null : loggedRecord(connectionId, feed, entry, entry.cells),
    }),
    liveRecord: t.field({
      type: RecordRef,
      nullable: true,
      description:
        'The record as it is now, fetched from the service; null when it is gone. Up to 100 events that are told together share one call.',
      resolve: async ({ connectionId, feed, entry }, _args, context, info) => {
        if (entry.kind === 'deleted') return null;
        const place = { connectionId, baseId: feed.baseId };
        return oneOf(
          await recordWork(context).lookUp(
            place,
            entry.tableId,
            [entry.recordId],
            selectionHere(context, info),
            1,
          ),
        );
      },
    }),
    leftFilter: t.boolean({
      description:
        'True when the record passed the `filter` of the subscription before this change and no longer does: told once, so that you can drop it. Always false without a filter, and of creations and deletions.',
      resolve: ({ leftFilter }) => leftFilter,
    }),
  }),
});

function loggedRecord(
  connectionId: number,
  feed: Feed,
  entry: ChangeEntry,
  cells: Record<string, unknown>,
): RecordNode {
  const { tableId, recordId, recordCreatedAt } = entry;
  const origin = new RecordOrigin({
    connectionId,
    baseId: feed.baseId,
    tableId,
    known: 'all',
    source: 'LOG',
  });
  return new RecordNode(origin, { id: recordId, createdTime: recordCreatedAt?.toISOString() ?? null, cells });
}
