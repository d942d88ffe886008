import { connectionArgument } from '../../connections/connection-argument.ts';
import { ChangeKindEnum } from '../../changes/schema.ts';
import { builder } from '../../graphql/builder.ts';
import { connectionErrors, TriggerNotFound, withTypedErrors } from '../../graphql/error-types.ts';
import { requireListLength } from '../../graphql/list-slice.ts';
import { maxReplayed } from './delivery-list.ts';
import { InvalidInput } from '../../graphql/invalid-input.ts';
import { RecordFilterInput } from '../../records/filters/filter-fields.ts';
import { writingActions } from './action-template.ts';
import { DeliveryErrorRef } from './delivery-fields.ts';
import type { EndpointAttempt } from './endpoint-client.ts';
import { maxUrlCharacters } from './endpoint-rules.ts';
import { TriggerRef, visibleTrigger } from './schema.ts';
import { readPlace, readSettings } from './settings-fields.ts';
import { defaultOverlapHours, maxOverlapHours } from './trigger-secrets.ts';
import type { Trigger } from './trigger.ts';

const kindsHelp = 'Only changes of these kinds; all when left out.';
const fieldsHelp =
  'Only updates that changed one of these fields, by id or exact name. Creations, deletions and records that leave the `filter` are told in any case.';
const filterHelp =
  'Only changes of records that pass this afterwards, and deletions; a record that stops passing is told once, with `leftFilter`. Takes what `records` takes, except for computed fields.';
const actionHelp = `What is carried out for each change, in place of an endpoint: an action as \`runAction\` takes it, one of ${writingActions.join(', ')}. In its \`config\` { "$field": "Email" } stands for a cell of the changed record and { "$record": "id" } for its id.`;
const endpointHelp = `Where deliveries are posted to: an https URL on the open internet, at most ${maxUrlCharacters} characters, without a password.`;

const CreateTriggerInput = builder.inputType('CreateTriggerInput', {
  description: 'A new trigger.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'A label for people, 1 to 100 characters.' }),
    connection: t.int(connectionArgument),
    baseId: t.string({ required: true, description: 'Id of the base; starts with `app`.' }),
    tableId: t.string({ required: true, description: 'The table, by id or exact name.' }),
    kinds: t.field({ type: [ChangeKindEnum], description: kindsHelp }),
    fields: t.stringList({ description: fieldsHelp }),
    filter: t.field({ type: RecordFilterInput, description: filterHelp }),
    endpoint: t.string({ description: endpointHelp }),
    action: t.field({ type: 'JSON', description: actionHelp }),
  }),
});

const withTrigger = (name: string, description: string) =>
  builder.objectRef<{ trigger: Trigger }>(name).implement({
    description,
    fields: (t) => ({
      trigger: t.field({
        type: TriggerRef,
        description: 'The trigger as it is now.',
        resolve: ({ trigger }) => trigger,
      }),
    }),
  });

const withSecret = (name: string, description: string) =>
  builder.objectRef<{ trigger: Trigger; secret: string | null }>(name).implement({
    description,
    fields: (t) => ({
      trigger: t.field({
        type: TriggerRef,
        description: 'The trigger.',
        resolve: ({ trigger }) => trigger,
      }),
      secret: t.exposeString('secret', {
        nullable: true,
        description:
          'Null for a trigger with an action. What deliveries are signed with, by the Standard Webhooks specification; begins with `whsec_`. Keep it now: no other answer will hold it.',
      }),
    }),
  });

const CreateTriggerSuccess = withSecret(
  'CreateTriggerSuccess',
  'The trigger was made. It tells what happens from now on.',
);

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

const UpdateTriggerInput = builder.inputType('UpdateTriggerInput', {
  description: 'What is to be different. What is left out stays; null takes a condition away.',
  fields: (t) => ({
    id: t.string({ required: true, description: 'Our id of the trigger.' }),
    name: t.string({ description: 'A label for people, 1 to 100 characters.' }),
    kinds: t.field({ type: [ChangeKindEnum], description: kindsHelp }),
    fields: t.stringList({ description: fieldsHelp }),
    filter: t.field({ type: RecordFilterInput, description: filterHelp }),
    endpoint: t.string({ description: endpointHelp }),
    action: t.field({ type: 'JSON', description: actionHelp }),
  }),
});

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
      'Edits a trigger. What was queued before goes out as it is, to the endpoint as it is now. A trigger that waits for a filter that fits goes on. For admins.',
    errors: triggerErrors,
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const trigger = await visibleTrigger(input.id, context);
        requireSameTarget(trigger, input);
        const settings = await readSettings(
          {
            name: input.name ?? trigger.name,
            kinds: input.kinds === undefined ? trigger.kinds : input.kinds,
            fields: input.fields === undefined ? trigger.fieldIds : input.fields,
            filter: input.filter === undefined ? trigger.filter : input.filter,
            endpoint: input.endpoint ?? (input.action == null ? trigger.endpointUrl : null),
            action: input.action ?? (input.endpoint == null ? trigger.action : null),
          },
          trigger,
          context,
        );
        return { trigger: await context.app.triggers.stored.edit(trigger.id, settings) };
      }),
  }),
);

const TriggerInput = (mutation: string) =>
  builder.inputType(`${mutation}Input`, {
    description: 'Which trigger.',
    fields: (t) => ({ id: t.string({ required: true, description: 'Our id of the trigger.' }) }),
  });

const DeleteTriggerSuccess = builder.objectRef<{ id: string }>('DeleteTriggerSuccess').implement({
  description: 'The trigger is gone, with its deliveries and its secret.',
  fields: (t) => ({ id: t.exposeString('id', { description: 'Our id of the trigger that is gone.' }) }),
});

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
      'Sets a trigger going again: what has happened meanwhile is delivered first, and what waits is tried now. For admins.',
    errors: { types: [...connectionErrors, TriggerNotFound] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const trigger = await visibleTrigger(input.id, context);
        return { trigger: await context.app.triggers.resume(trigger, context.operation) };
      }),
  }),
);

const RotateTriggerSecretInput = builder.inputType('RotateTriggerSecretInput', {
  description: 'Which trigger gets a new secret.',
  fields: (t) => ({
    id: t.string({ required: true, description: 'Our id of the trigger.' }),
    overlapHours: t.int({
      description: `For how many hours deliveries are signed with the present secret too, 0 to ${maxOverlapHours}; ${defaultOverlapHours} by default.`,
    }),
  }),
});

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

const TestTriggerSuccess = builder
  .objectRef<EndpointAttempt & { trigger: Trigger }>('TestTriggerSuccess')
  .implement({
    description: 'What came of a test delivery.',
    fields: (t) => ({
      trigger: t.field({ type: TriggerRef, description: 'The trigger.', resolve: ({ trigger }) => trigger }),
      delivered: t.boolean({
        description: 'Whether the endpoint took it.',
        resolve: ({ error }) => error === null,
      }),
      httpStatus: t.int({
        nullable: true,
        description: 'What the endpoint answered; null when no answer came.',
        resolve: ({ answer }) => answer?.status ?? null,
      }),
      answer: t.string({
        nullable: true,
        description: 'The beginning of what it said.',
        resolve: ({ answer }) => answer?.excerpt ?? null,
      }),
      durationMs: t.exposeInt('durationMs', { description: 'How long it took, in milliseconds.' }),
      error: t.field({
        type: DeliveryErrorRef,
        nullable: true,
        description: 'Why it was not taken; null when it was.',
        // An Error that is given back would count as thrown.
        resolve: ({ error }) => error && { code: error.code, message: error.message },
      }),
    }),
  });

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

const ReplayDeliveriesInput = builder.inputType('ReplayDeliveriesInput', {
  description: 'Which deliveries to make again.',
  fields: (t) => ({
    id: t.string({ required: true, description: 'Our id of the trigger.' }),
    deliveries: t.stringList({
      description: `Ids of finished deliveries, at most ${maxReplayed}. When left out, the oldest ${maxReplayed} that are PARKED.`,
    }),
  }),
});

const ReplayDeliveriesSuccess = builder
  .objectRef<{ trigger: Trigger; replayed: number }>('ReplayDeliveriesSuccess')
  .implement({
    description: 'The deliveries wait to be made again.',
    fields: (t) => ({
      trigger: t.field({ type: TriggerRef, description: 'The trigger.', resolve: ({ trigger }) => trigger }),
      replayed: t.exposeInt('replayed', {
        description: 'How many. Ids that the trigger does not know, or that still wait, are not among them.',
      }),
    }),
  });

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
