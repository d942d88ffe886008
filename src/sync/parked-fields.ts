import { builder } from '../graphql/builder.ts';
import { pageLength } from '../graphql/list-slice.ts';
import { SyncRef } from './schema.ts';
import { countParked, listParked, type ParkedRecord } from './target/parked-records.ts';

const ParkedRecordRef = builder.objectRef<ParkedRecord>('ParkedRecord').implement({
  description:
    'A record whose row the table refused. All others go on; this one is tried again when it changes, and with each reconcile.',
  fields: (t) => ({
    recordId: t.exposeString('recordId', { description: 'The record; starts with `rec`.' }),
    isDeletion: t.boolean({
      description: 'Whether the record is gone, and the table holds on to its row.',
      resolve: ({ rowKey }) => rowKey !== null,
    }),
    code: t.exposeString('code', {
      description: 'PostgreSQL’s SQLSTATE, such as `23505` for a value that another row has already.',
    }),
    message: t.exposeString('message', { description: 'What PostgreSQL said.' }),
    column: t.exposeString('column', {
      nullable: true,
      description: 'The column that could not hold its value; null when a constraint refused the row.',
    }),
    constraint: t.exposeString('constraint', {
      nullable: true,
      description: 'The constraint that refused it; null when a column could not hold its value.',
    }),
    parkedAt: t.field({
      type: 'DateTime',
      description: 'When it was refused first.',
      resolve: ({ parkedAt }) => parkedAt,
    }),
  }),
});

const ParkedRecordPageRef = builder
  .objectRef<{ parked: ParkedRecord[]; hasMore: boolean; after: string | null }>('ParkedRecordPage')
  .implement({
    description: 'A part of the records whose row was refused, in the order of their ids.',
    fields: (t) => ({
      nodes: t.field({
        type: [ParkedRecordRef],
        description: 'The records.',
        resolve: ({ parked }) => parked,
      }),
      pageInfo: t.field({
        type: builder.pageInfoRef(),
        description: 'Whether there is more, and where to go on.',
        resolve: ({ parked, hasMore, after }) => ({
          hasNextPage: hasMore,
          hasPreviousPage: after !== null,
          startCursor: parked[0]?.recordId ?? null,
          endCursor: parked.at(-1)?.recordId ?? null,
        }),
      }),
    }),
  });

builder.objectField(SyncRef, 'parkedCount', (t) =>
  t.int({
    description: 'Records whose row the table refused.',
    resolve: ({ id }, _args, { app }) => countParked(app.database, id),
  }),
);

builder.objectField(SyncRef, 'parked', (t) =>
  t.field({
    type: ParkedRecordPageRef,
    args: {
      first: t.arg.int({ description: 'At most so many; 50 by default, 1000 at most.' }),
      after: t.arg.string({ description: 'Go on behind this cursor.' }),
    },
    description: 'Records whose row the table refused, with what PostgreSQL said.',
    resolve: async ({ id }, { first, after }, { app }) => {
      const limit = pageLength(first);
      const parked = await listParked(app.database, id, { after: after ?? null, limit: limit + 1 });
      return { parked: parked.slice(0, limit), hasMore: parked.length > limit, after: after ?? null };
    },
  }),
);
