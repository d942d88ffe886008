import { builder } from '../graphql/builder.ts';
import { pageLength } from '../graphql/list-slice.ts';
import { AppError } from '../errors.ts';
import { conflictRetentionDays, maxConflicts, readConflicts, type SyncConflict } from './merge/conflicts.ts';
import { countUnsent, listRefused, type RefusedChange } from './push/refused-changes.ts';
import { SyncRef } from './schema.ts';

const SyncConflictKindEnum = builder.enumType('SyncConflictKind', {
  description: 'What met what.',
  values: {
    CELL: { value: 'cell', description: 'Both sides have changed the same cell, to different values.' },
    DELETED_BY_OMNERA: {
      value: 'deleted_by_omnera',
      description: 'The row was deleted in PostgreSQL, and its record changed in Calendly.',
    },
    DELETED_BY_CALENDLY: {
      value: 'deleted_by_calendly',
      description: 'The record was deleted in Calendly, and its row changed in PostgreSQL.',
    },
  } as const,
});

const SyncSideEnum = builder.enumType('SyncSide', {
  description: 'One of the two tables of a sync.',
  values: {
    CALENDLY: { value: 'calendly', description: 'The table of Calendly.' },
    OMNERA: { value: 'omnera', description: 'The table of PostgreSQL.' },
  } as const,
});

const SyncConflictRef = builder.objectRef<SyncConflict>('SyncConflict').implement({
  description: 'Where both sides of a sync had changed the same, and who won.',
  fields: (t) => ({
    kind: t.field({ type: SyncConflictKindEnum, description: 'What met what.', resolve: ({ kind }) => kind }),
    recordId: t.exposeString('recordId', {
      description: 'The record; starts with `rec`. One that was made again goes by another id since.',
    }),
    fieldId: t.exposeString('fieldId', {
      nullable: true,
      description:
        'The field; starts with `fld`. Null where one side had deleted what the other had changed.',
    }),
    fieldName: t.exposeString('fieldName', { nullable: true, description: 'What it was called.' }),
    calendlyValue: t.field({
      type: 'JSON',
      nullable: true,
      description:
        'What Calendly held; null for an empty cell. Of a deletion, what had been changed, by field id; null if Calendly was where it was deleted.',
      resolve: ({ calendlyValue }) => calendlyValue,
    }),
    omneraValue: t.field({
      type: 'JSON',
      nullable: true,
      description: 'The same of the row.',
      resolve: ({ omneraValue }) => omneraValue,
    }),
    winner: t.field({
      type: SyncSideEnum,
      description: 'Whose value both sides have now, unless it was changed since.',
      resolve: ({ winner }) => winner,
    }),
    at: t.field({ type: 'DateTime', description: 'When it was decided.', resolve: ({ at }) => at }),
  }),
});

const SyncConflictPageRef = builder
  .objectRef<{ conflicts: SyncConflict[]; hasMore: boolean; isFirst: boolean }>('SyncConflictPage')
  .implement({
    description: 'A part of the conflicts of a sync, newest first.',
    fields: (t) => ({
      nodes: t.field({
        type: [SyncConflictRef],
        description: 'The conflicts.',
        resolve: ({ conflicts }) => conflicts,
      }),
      pageInfo: t.field({
        type: builder.pageInfoRef(),
        description: 'Whether there is more, and where to go on.',
        resolve: ({ conflicts, hasMore, isFirst }) => ({
          hasNextPage: hasMore,
          hasPreviousPage: !isFirst,
          startCursor: conflicts[0]?.id ?? null,
          endCursor: conflicts.at(-1)?.id ?? null,
        }),
      }),
    }),
  });

builder.objectField(SyncRef, 'conflictLog', (t) =>
  t.field({
    type: SyncConflictPageRef,
    args: {
      first: t.arg.int({ description: 'At most so many; 50 by default, 1000 at most.' }),
      after: t.arg.string({ description: 'Go on behind this cursor.' }),
    },
    description: `Where both sides had changed the same, newest first. The newest ${maxConflicts} are kept, for ${conflictRetentionDays} days.`,
    resolve: async ({ id }, { first, after }, { app }) => {
      const limit = pageLength(first);
      const conflicts = await readConflicts(app.database, id, { before: cursorOf(after), limit: limit + 1 });
      return {
        conflicts: conflicts.slice(0, limit),
        hasMore: conflicts.length > limit,
        isFirst: after == null,
      };
    },
  }),
);

const RefusedChangeRef = builder.objectRef<RefusedChange>('RefusedChange').implement({
  description:
    'A change of a row that Calendly does not take. All others are sent; this one is tried again when its row is changed.',
  fields: (t) => ({
    recordId: t.exposeString('recordId', {
      nullable: true,
      description: 'The record; null for a row that has none yet.',
    }),
    rowKey: t.exposeStringList('rowKey', {
      nullable: true,
      description: 'The primary key of the row, each part as a text; null for a row that was deleted.',
    }),
    code: t.exposeString('code', { description: 'The error, as in the errors of a mutation.' }),
    message: t.exposeString('message', { description: 'What is wrong with it.' }),
    refusedAt: t.field({
      type: 'DateTime',
      description: 'When it was last refused.',
      resolve: ({ refusedAt }) => refusedAt,
    }),
  }),
});

const RefusedChangePageRef = builder
  .objectRef<{ refused: RefusedChange[]; hasMore: boolean; isFirst: boolean }>('RefusedChangePage')
  .implement({
    description: 'A part of the changes that Calendly does not take, oldest first.',
    fields: (t) => ({
      nodes: t.field({
        type: [RefusedChangeRef],
        description: 'The changes.',
        resolve: ({ refused }) => refused,
      }),
      pageInfo: t.field({
        type: builder.pageInfoRef(),
        description: 'Whether there is more, and where to go on.',
        resolve: ({ refused, hasMore, isFirst }) => ({
          hasNextPage: hasMore,
          hasPreviousPage: !isFirst,
          startCursor: refused[0]?.id ?? null,
          endCursor: refused.at(-1)?.id ?? null,
        }),
      }),
    }),
  });

builder.objectField(SyncRef, 'refused', (t) =>
  t.field({
    type: RefusedChangePageRef,
    args: {
      first: t.arg.int({ description: 'At most so many; 50 by default, 1000 at most.' }),
      after: t.arg.string({ description: 'Go on behind this cursor.' }),
    },
    description: 'Changes of rows that Calendly does not take, oldest first.',
    resolve: async ({ id }, { first, after }, { app }) => {
      const limit = pageLength(first);
      const refused = await listRefused(app.database, id, { after: cursorOf(after), limit: limit + 1 });
      return { refused: refused.slice(0, limit), hasMore: refused.length > limit, isFirst: after == null };
    },
  }),
);

builder.objectField(SyncRef, 'unsentCount', (t) =>
  t.int({
    description:
      'Rows whose changes wait to be sent to Calendly, or to be confirmed; refused ones not counted.',
    resolve: ({ id }, _args, { app }) => countUnsent(app.database, id),
  }),
);

function cursorOf(after: string | null | undefined): string | null {
  if (after == null || /^\d{1,18}$/.test(after)) return after ?? null;
  throw new AppError(
    'CURSOR_INVALID',
    'The cursor is not one that this list gave out. Leave it out to start anew.',
  );
}
