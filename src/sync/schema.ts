import { ConnectionRef } from '../connections/schema.ts';
import { connectionId } from '../connections/connection-input.ts';
import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import {
  syncNotFound,
  syncPauseReasons,
  targetName,
  type MappedColumn,
  type Sync,
  type SyncPauseReason,
} from './sync.ts';

export const SyncDirectionEnum = builder.enumType('SyncDirection', {
  description: 'Which side follows which.',
  values: {
    PULL: { value: 'pull', description: 'The PostgreSQL table follows Calendly’s.' },
    PUSH: { value: 'push', description: 'Calendly’s table follows the PostgreSQL table.' },
    TWO_WAY: { value: 'two_way', description: 'Each follows the other.' },
  } as const,
});

export const SyncConflictsEnum = builder.enumType('SyncConflictPolicy', {
  description: 'Who wins where both sides have changed the same cell.',
  values: {
    CALENDLY_WINS: { value: 'calendly_wins', description: 'What Calendly says.' },
    OMNERA_WINS: { value: 'omnera_wins', description: 'What the PostgreSQL table says.' },
  } as const,
});

const SyncStateEnum = builder.enumType('SyncState', {
  description: 'What a sync does.',
  values: {
    FILLING: { value: 'filling', description: 'It reads the whole table for the first time.' },
    LIVE: { value: 'live', description: 'It follows every change.' },
    PAUSED: {
      value: 'paused',
      description:
        'It stands still. Once it goes on, everything that has happened meanwhile is caught up with.',
    },
  } as const,
});

const SyncPauseReasonEnum = builder.enumType('SyncPauseReason', {
  description: 'Why a sync stands still.',
  values: Object.fromEntries(
    Object.entries(syncPauseReasons).map(([reason, description]) => [
      reason,
      { value: reason as SyncPauseReason, description },
    ]),
  ) as Record<SyncPauseReason, { value: SyncPauseReason; description: string }>,
});

const SyncColumnRef = builder.objectRef<MappedColumn>('SyncColumn').implement({
  description: 'A field and the column that it goes to.',
  fields: (t) => ({
    fieldId: t.exposeString('fieldId', { description: 'The field; starts with `fld`.' }),
    fieldName: t.exposeString('fieldName', { description: 'What it is called.' }),
    fieldType: t.exposeString('fieldType', { description: 'Its type, in the upstream’s word.' }),
    column: t.exposeString('column', { description: 'The column of the PostgreSQL table.' }),
    columnType: t.exposeString('columnType', { description: 'Its type, as PostgreSQL spells it.' }),
    goneAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When the field was found to be gone, or to have become one that the column can not hold. The column keeps what it has, and is not written any more. Null while it is.',
      resolve: ({ goneAt }) => (goneAt === null ? null : new Date(goneAt)),
    }),
  }),
});

export const SyncRef = builder.objectRef<Sync>('Sync');

SyncRef.implement({
  description: 'Keeps a PostgreSQL table in step with a table of Calendly.',
  fields: (t) => ({
    id: t.exposeString('id', { description: 'Our id of it.' }),
    connection: t.field({
      type: ConnectionRef,
      description: 'The connection through which the base is followed.',
      resolve: (sync, _args, { app }) => app.connections.get(sync.connectionId),
    }),
    baseId: t.exposeString('baseId', { description: 'The base; starts with `app`.' }),
    tableId: t.exposeString('tableId', { description: 'The table; starts with `tbl`.' }),
    direction: t.field({
      type: SyncDirectionEnum,
      description: 'Which side follows which.',
      resolve: ({ direction }) => direction,
    }),
    conflicts: t.field({
      type: SyncConflictsEnum,
      description: 'Who wins where both sides have changed the same cell.',
      resolve: ({ conflicts }) => conflicts,
    }),
    table: t.string({
      description: 'The PostgreSQL table, such as `calendly.contacts`.',
      resolve: targetName,
    }),
    isOwnTable: t.boolean({
      description: 'Whether the server has made the table, and gives it a column for each field.',
      resolve: ({ owned }) => owned,
    }),
    columns: t.field({
      type: [SyncColumnRef],
      description: 'Which field goes to which column.',
      resolve: ({ columns }) => columns,
    }),
    state: t.field({ type: SyncStateEnum, description: 'What it does.', resolve: ({ state }) => state }),
    pausedBecause: t.field({
      type: SyncPauseReasonEnum,
      nullable: true,
      description: 'Why it stands still; null while it does not.',
      resolve: ({ pausedBecause }) => pausedBecause,
    }),
    problem: t.string({
      nullable: true,
      description:
        'What keeps it, or some of its fields, from being in step at the moment, with what to do about it. Null when nothing does.',
      resolve: ({ problem, waitsFor }) =>
        [problem, waitsFor].filter((text) => text !== null).join(' ') || null,
    }),
    asOf: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'The table has everything that Calendly had then; null before the first fill is done.',
      resolve: ({ asOf }) => asOf,
    }),
    lastReconciledAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the whole table was last read to its end; null before the first fill is done.',
      resolve: ({ runFinishedAt }) => runFinishedAt,
    }),
    driftFound: t.exposeInt('driftFound', {
      nullable: true,
      description:
        'Records that the last reconcile, or the one under way, found to differ, and repaired; null before the first one.',
    }),
    createdBy: t.exposeString('createdBy', { description: 'Who made it, as in the audit log.' }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'When it was made.',
      resolve: ({ createdAt }) => createdAt,
    }),
    updatedAt: t.field({
      type: 'DateTime',
      description: 'When it was last edited, paused or set going.',
      resolve: ({ updatedAt }) => updatedAt,
    }),
  }),
});

/** @throws AppError SYNC_NOT_FOUND for what is missing and for what is out of the caller's reach alike. */
export async function visibleSync(id: string, { app, caller }: GraphQLContext): Promise<Sync> {
  const sync = await app.syncs.stored.get(id);
  if (caller.sees(sync.connectionId, sync.baseId)) return sync;
  throw syncNotFound(id);
}

builder.queryField('syncs', (t) =>
  t.field({
    type: [SyncRef],
    args: {
      connection: t.arg.int({
        description: 'Only those of this connection.',
        validate: { schema: connectionId },
      }),
    },
    description: 'The syncs of all bases that your key may use, oldest first.',
    resolve: async (_root, { connection }, { app, caller }) =>
      (await app.syncs.stored.list()).filter(
        (sync) =>
          caller.sees(sync.connectionId, sync.baseId) &&
          (connection == null || sync.connectionId === connection),
      ),
  }),
);

builder.queryField('sync', (t) =>
  t.field({
    type: SyncRef,
    nullable: true,
    args: { id: t.arg.string({ required: true, description: 'Our id of it.' }) },
    description: 'One sync.',
    resolve: (_root, { id }, context) => visibleSync(id, context),
  }),
);
