import { builder } from '../graphql/builder.ts';
import {
  connectionErrors,
  SyncNotFound,
  TargetNotFound,
  TargetUnfit,
  withTypedErrors,
} from '../graphql/error-types.ts';
import { InvalidInput } from '../graphql/invalid-input.ts';
import { visibleSync } from './schema.ts';
import { withSync } from './sync-fields.ts';

const SyncInput = (mutation: string) =>
  builder.inputType(`${mutation}Input`, {
    description: 'Which sync.',
    fields: (t) => ({ id: t.string({ required: true, description: 'Our id of the sync.' }) }),
  });

const syncErrors = { types: [InvalidInput, SyncNotFound] };

builder.mutationField('pauseSync', (t) =>
  t.field({
    type: withSync('PauseSyncSuccess', 'The sync stands still.'),
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: SyncInput('PauseSync'), required: true, description: 'Which.' }) },
    description: 'Has a sync stand still, until `resumeSync`. For admins.',
    errors: syncErrors,
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const { id } = await visibleSync(input.id, context);
        return { sync: await context.app.syncs.stored.pauseByHand(id) };
      }),
  }),
);

builder.mutationField('resumeSync', (t) =>
  t.field({
    type: withSync('ResumeSyncSuccess', 'The sync goes on, and catches up with what it has missed.'),
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: SyncInput('ResumeSync'), required: true, description: 'Which.' }) },
    description: 'Has a sync go on where it stood. A table of ours that is gone is made again. For admins.',
    errors: { types: [...connectionErrors, SyncNotFound, TargetNotFound, TargetUnfit] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const sync = await visibleSync(input.id, context);
        return { sync: await context.app.syncs.resume(sync, context.operation) };
      }),
  }),
);

builder.mutationField('reconcileSync', (t) =>
  t.field({
    type: withSync('ReconcileSyncSuccess', 'The table is read again soon.'),
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: SyncInput('ReconcileSync'), required: true, description: 'Which.' }) },
    description:
      'Has a sync read its whole table again, beside following it, and repair what differs. That takes about one upstream call for each 100 records, and is done by itself now and then. For admins.',
    errors: syncErrors,
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const sync = await visibleSync(input.id, context);
        return { sync: await context.app.syncs.reconcile(sync) };
      }),
  }),
);

const DeleteSyncInput = builder.inputType('DeleteSyncInput', {
  description: 'Which sync to delete.',
  fields: (t) => ({
    id: t.string({ required: true, description: 'Our id of the sync.' }),
    dropTable: t.boolean({
      description:
        'Whether a table that the server has made goes as well, with all its rows. False by default; a table that was there before stays in any case.',
    }),
  }),
});

const DeleteSyncSuccess = builder.objectRef<{ id: string }>('DeleteSyncSuccess').implement({
  description: 'The sync is gone.',
  fields: (t) => ({ id: t.exposeString('id', { description: 'Our id of the sync that is gone.' }) }),
});

builder.mutationField('deleteSync', (t) =>
  t.field({
    type: DeleteSyncSuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: DeleteSyncInput, required: true, description: 'Which.' }) },
    description: 'Deletes a sync. Its table stays as it is, unless you say otherwise. For admins.',
    errors: { types: [InvalidInput, SyncNotFound, TargetUnfit] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const sync = await visibleSync(input.id, context);
        await context.app.syncs.delete(sync, { dropTable: input.dropTable ?? false });
        return { id: sync.id, sync };
      }),
  }),
);
