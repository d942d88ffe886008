import { builder } from '../../graphql/builder.ts';
import { connectionErrors, TriggerNotFound, withTypedErrors } from '../../graphql/error-types.ts';
import { InvalidInput } from '../../graphql/invalid-input.ts';
import { requireListLength } from '../../graphql/list-slice.ts';
import { visibleTrigger } from './schema.ts';
import { readEdits, readPlace, readSettings } from './settings-fields.ts';
import {
  CreateTriggerSuccess,
  DeleteTriggerSuccess,
  ReplayDeliveriesSuccess,
  TestTriggerSuccess,
  withSecret,
  withTrigger,
} from './trigger-answer-fields.ts';
import {
  CreateTriggerInput,
  ReplayDeliveriesInput,
  RotateTriggerSecretInput,
  TriggerInput,
  UpdateTriggerInput,
} from './trigger-input-fields.ts';
import { defaultOverlapHours, maxOverlapHours } from './trigger-secrets.ts';
import type { Trigger } from './trigger.ts';

/** @throws InvalidInput: what waits was made for what the trigger is */
function requireSameTarget(
  { endpointUrl }: Trigger,
  { endpoint, action }: { endpoint?: string | null; action?: unknown },
): void {
  const message = 'A trigger with an endpoint can not become one with an action, or the other way round';
  if (endpointUrl === null && endpoint != null) throw new InvalidInput([{ path: ['endpoint'], message }]);
  if (endpointUrl !== null && action != null) throw new InvalidInput([{ path: ['action'], message }]);
}

function requireEndpoint({ endpointUrl }: Trigger): void {
  if (endpointUrl !== null) return;
  throw new InvalidInput([{ path: ['id'], message: 'The trigger has an action, and no endpoint' }]);
}

const triggerErrors = { types: [InvalidInput, TriggerNotFound] };

builder.mutationField('createTrigger', (t) =>
  t.field({
    type: CreateTriggerSuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: CreateTriggerInput, required: true, description: 'The new trigger.' }) },
    description:
      'Has an HTTP endpoint told what changes in a table, or an action carried out, from now on. Needs a connection with the scopes `webhook:manage` and `data.records:read`. For admins.',
    errors: { types: connectionErrors },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const { app, caller, operation } = context;
        const place = await readPlace(input, context);
        const settings = await readSettings(input, place, context);
        return app.triggers.create({ ...place, ...settings, createdBy: caller.id }, operation);
      }),
  }),
);

builder.mutationField('updateTrigger', (t) =>
  t.field({
    type: withTrigger(
      'UpdateTriggerSuccess',
      'The trigger was edited. Changes that it had not read yet are judged by what holds now.',
    ),
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: UpdateTriggerInput, required: true, description: 'What to edit.' }) },
    description:
      'Edits a trigger. What was queued before goes out as it is, to the endpoint as it is now. A trigger that waits for a filter, fields or an action that fit goes on with them. For admins.',
    errors: triggerErrors,
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const trigger = await visibleTrigger(input.id, context);
        requireSameTarget(trigger, input);
        const edits = await readEdits(input, trigger, context);
        return { trigger: await context.app.triggers.stored.edit(trigger.id, edits) };
      }),
  }),
);

builder.mutationField('deleteTrigger', (t) =>
  t.field({
    type: DeleteTriggerSuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: TriggerInput('DeleteTrigger'), required: true, description: 'Which.' }) },
    description: 'Deletes a trigger with everything that waits to be delivered. For admins.',
    errors: triggerErrors,
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const trigger = await visibleTrigger(input.id, context);
        await context.app.triggers.stored.delete(trigger.id);
        return { id: trigger.id, trigger };
      }),
  }),
);

builder.mutationField('pauseTrigger', (t) =>
  t.field({
    type: withTrigger('PauseTriggerSuccess', 'The trigger stands still until somebody resumes it.'),
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: TriggerInput('PauseTrigger'), required: true, description: 'Which.' }) },
    description:
      'Pauses a trigger: nothing is delivered, and nothing lost as far back as the log reaches. For admins.',
    errors: triggerErrors,
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const { id } = await visibleTrigger(input.id, context);
        return { trigger: await context.app.triggers.stored.pauseByHand(id) };
      }),
  }),
);

builder.mutationField('resumeTrigger', (t) =>
  t.field({
    type: withTrigger('ResumeTriggerSuccess', 'The trigger goes on where it stood.'),
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: TriggerInput('ResumeTrigger'), required: true, description: 'Which.' }) },
    description:
      'Sets a trigger going again: what has happened meanwhile is delivered first, and what waits is tried now, also of one that runs. For admins.',
    errors: { types: [...connectionErrors, TriggerNotFound] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const trigger = await visibleTrigger(input.id, context);
        return { trigger: await context.app.triggers.resume(trigger, context.operation) };
      }),
  }),
);

builder.mutationField('rotateTriggerSecret', (t) =>
  t.field({
    type: withSecret(
      'RotateTriggerSecretSuccess',
      'From now on deliveries are signed with the new secret and, for a while, with the former one as well.',
    ),
    nullable: true,
    authScopes: { role: 'admin' },
    args: {
      input: t.arg({ type: RotateTriggerSecretInput, required: true, description: 'Which trigger.' }),
    },
    description: 'Gives a trigger a new secret. For admins.',
    errors: triggerErrors,
    resolve: (_root, { input: { id, overlapHours } }, context) =>
      withTypedErrors(async () => {
        const hours = overlapHours ?? defaultOverlapHours;
        if (hours < 0 || hours > maxOverlapHours) {
          const message = `Overlap must be 0 to ${maxOverlapHours} hours`;
          throw new InvalidInput([{ path: ['overlapHours'], message }]);
        }
        const { app } = context;
        const trigger = await visibleTrigger(id, context);
        requireEndpoint(trigger);
        const until = new Date(app.clock.now() + hours * 60 * 60_000);
        return { trigger, secret: await app.triggers.stored.rotateSecret(trigger.id, until) };
      }),
  }),
);

builder.mutationField('testTrigger', (t) =>
  t.field({
    type: TestTriggerSuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: TriggerInput('TestTrigger'), required: true, description: 'Which.' }) },
    description:
      'Posts an event of the type `test` to the endpoint of a trigger now, signed like any other, and tells what came of it. Nothing is stored or tried again. For admins.',
    errors: triggerErrors,
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const trigger = await visibleTrigger(input.id, context);
        requireEndpoint(trigger);
        return { trigger, ...(await context.app.triggers.test(trigger)) };
      }),
  }),
);

builder.mutationField('replayDeliveries', (t) =>
  t.field({
    type: ReplayDeliveriesSuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: ReplayDeliveriesInput, required: true, description: 'Which.' }) },
    description:
      'Has deliveries of a trigger made again that were given up, or taken: with the same event id and body, and for three days if need be. What came after them may have been delivered before. For admins.',
    errors: triggerErrors,
    resolve: (_root, { input: { id, deliveries } }, context) =>
      withTypedErrors(async () => {
        requireListLength('deliveries', deliveries?.length ?? 0);
        const trigger = await visibleTrigger(id, context);
        return { trigger, replayed: await context.app.triggers.replay(trigger.id, deliveries ?? null) };
      }),
  }),
);
