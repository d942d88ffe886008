import { builder } from '../graphql/builder.ts';
import { SyncProgressRef } from './progress-fields.ts';
import { visibleSync } from './schema.ts';

builder.subscriptionField('syncProgress', (t) =>
  t.field({
    type: SyncProgressRef,
    args: { id: t.arg.string({ required: true, description: 'Our id of the sync.' }) },
    description:
      'Tells how far a sync is: first as it is now, then whenever that has changed, at most once a second. It goes on when the table is filled, and ends when the sync is deleted. There is nothing to resume: a client that was away simply subscribes again.',
    subscribe: async (_root, { id }, context) => {
      const sync = await visibleSync(id, context);
      return context.app.syncs.progress.watch(sync.id);
    },
    resolve: (progress) => progress,
  }),
);
