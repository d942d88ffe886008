import { builder } from '../../graphql/builder.ts';
import { DeliveryErrorRef } from './delivery-fields.ts';
import type { EndpointAttempt } from './endpoint-client.ts';
import { TriggerRef } from './schema.ts';
import type { Trigger } from './trigger.ts';

export const withTrigger = (name: string, description: string) =>
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

export const withSecret = (name: string, description: string) =>
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

export const CreateTriggerSuccess = withSecret(
  'CreateTriggerSuccess',
  'The trigger was made. It tells what happens from now on.',
);

export const DeleteTriggerSuccess = builder.objectRef<{ id: string }>('DeleteTriggerSuccess').implement({
  description: 'The trigger is gone, with its deliveries and its secret.',
  fields: (t) => ({ id: t.exposeString('id', { description: 'Our id of the trigger that is gone.' }) }),
});

export const TestTriggerSuccess = builder
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
        description: 'The status that the endpoint answered; null when no answer came.',
        resolve: ({ answer }) => answer?.status ?? null,
      }),
      answer: t.string({
        nullable: true,
        description: 'The beginning of what the endpoint said; null when no answer came.',
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

export const ReplayDeliveriesSuccess = builder
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
