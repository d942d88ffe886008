import { builder } from '../graphql/builder.ts';
import { SyncRef } from './schema.ts';
import { progressOf, maxBacklog, type SyncProgress } from './sync-progress.ts';

const SyncPhaseEnum = builder.enumType('SyncPhase', {
  description: 'What a sync is at right now.',
  values: {
    FILLING: { value: 'filling', description: 'It reads the whole table for the first time.' },
    CATCHING_UP: {
      value: 'catching_up',
      description: 'The table was read; what has changed meanwhile is being applied.',
    },
    LIVE: { value: 'live', description: 'It follows every change.' },
    RECONCILING: {
      value: 'reconciling',
      description:
        'It follows every change, and reads the whole table again beside that, to find what differs.',
    },
    PAUSED: { value: 'paused', description: 'It stands still.' },
  } as const,
});

export const SyncProgressRef = builder.objectRef<SyncProgress>('SyncProgress').implement({
  description: 'What a sync is at, and how far it is.',
  fields: (t) => ({
    sync: t.field({ type: SyncRef, description: 'The sync.', resolve: ({ sync }) => sync }),
    phase: t.field({
      type: SyncPhaseEnum,
      description: 'What it is at right now.',
      resolve: ({ phase }) => phase,
    }),
    recordsDone: t.exposeInt('recordsDone', {
      description: 'Records that were read since the table began to be read (again).',
    }),
    recordsExpected: t.exposeInt('recordsExpected', {
      nullable: true,
      description: 'How many there seem to be; null until that is known.',
    }),
    timeLeftMs: t.exposeInt('timeLeftMs', {
      nullable: true,
      description:
        'How long the rest will take at the pace so far, in milliseconds; null while nothing is read, or nobody can say.',
    }),
    upstreamCalls: t.int({
      description: 'Upstream calls that reading the table has taken.',
      resolve: ({ sync }) => sync.runCalls,
    }),
    backlog: t.exposeInt('backlog', {
      description: `Changes that are known and not applied yet; ${maxBacklog} stands for as many or more.`,
    }),
    asOf: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'The table has everything that Calendly had then; null before the first fill is done.',
      resolve: ({ sync }) => sync.asOf,
    }),
  }),
});

builder.objectField(SyncRef, 'progress', (t) =>
  t.field({
    type: SyncProgressRef,
    description: 'What it is at, and how far it is.',
    resolve: (sync, _args, { app }) => progressOf(app.database, sync, app.clock.now()),
  }),
);
