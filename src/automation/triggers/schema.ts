import { ChangeKindEnum } from '../../changes/schema.ts';
import { connectionId } from '../../connections/connection-input.ts';
import { ConnectionRef } from '../../connections/schema.ts';
import { builder } from '../../graphql/builder.ts';
import type { GraphQLContext } from '../../graphql/context.ts';
import { pauseReasons, triggerNotFound, type PauseReason, type Trigger } from './trigger.ts';

const TriggerStateEnum = builder.enumType('TriggerState', {
  description: 'Whether a trigger reacts to changes.',
  values: {
    ACTIVE: { value: 'active', description: 'It does.' },
    PAUSED: {
      value: 'paused',
      description:
        'It stands still. Once it goes on, it tells everything that has happened meanwhile, as far back as the log reaches.',
    },
  } as const,
});

const TriggerPauseReasonEnum = builder.enumType('TriggerPauseReason', {
  description: 'Why a trigger stands still.',
  values: Object.fromEntries(
    Object.entries(pauseReasons).map(([reason, description]) => [
      reason,
      { value: reason as PauseReason, description },
    ]),
  ) as Record<PauseReason, { value: PauseReason; description: string }>,
});

const TriggerHealthRef = builder
  .objectRef<{ waiting: number; parked: number; failuresInRow: number; failingSince: Date | null }>(
    'TriggerHealth',
  )
  .implement({
    description: 'How a trigger does.',
    fields: (t) => ({
      waiting: t.exposeInt('waiting', { description: 'Deliveries that have not been taken yet.' }),
      parked: t.exposeInt('parked', {
        description: 'Deliveries that were given up and wait for `replayDeliveries`.',
      }),
      failuresInRow: t.exposeInt('failuresInRow', {
        description: 'Attempts that failed since the last one that was taken.',
      }),
      failingSince: t.field({
        type: 'DateTime',
        nullable: true,
        description: 'When the first of these failed; null when the last attempt was taken.',
        resolve: ({ failingSince }) => failingSince,
      }),
    }),
  });

export const TriggerRef = builder.objectRef<Trigger>('Trigger');

TriggerRef.implement({
  description:
    'Reacts to what changes in a table, in order for each record: tells an HTTP endpoint, at least once, or carries out an action, with one effect.',
  fields: (t) => ({
    id: t.exposeString('id', { description: 'Our id of it.' }),
    name: t.exposeString('name', { description: 'A label for people.' }),
    connection: t.field({
      type: ConnectionRef,
      description: 'The connection through which the base is followed.',
      resolve: (trigger, _args, { app }) => app.connections.get(trigger.connectionId),
    }),
    baseId: t.exposeString('baseId', { description: 'The base; starts with `app`.' }),
    tableId: t.exposeString('tableId', { description: 'The table; starts with `tbl`.' }),
    kinds: t.field({
      type: [ChangeKindEnum],
      nullable: true,
      description: 'Only changes of these kinds; null for all.',
      resolve: ({ kinds }) => kinds,
    }),
    fields: t.field({
      type: ['String'],
      nullable: true,
      description:
        'Ids of the only fields whose updates are told, without those that were deleted since; null for all.',
      resolve: ({ fieldIds }) => fieldIds,
    }),
    filter: t.field({
      type: 'JSON',
      nullable: true,
      description: 'Only changes of records that pass this; null for all. As it was given.',
      resolve: ({ filter }) => filter,
    }),
    endpoint: t.string({
      nullable: true,
      description: 'Where deliveries are posted to; null for a trigger with an action.',
      resolve: ({ endpointUrl }) => endpointUrl,
    }),
    action: t.field({
      type: 'JSON',
      nullable: true,
      description:
        'What is carried out for each change, with ids in place of names; null for a trigger with an endpoint.',
      resolve: ({ action }) => action,
    }),
    state: t.field({
      type: TriggerStateEnum,
      description: 'Whether it reacts to changes.',
      resolve: ({ state }) => state,
    }),
    pausedBecause: t.field({
      type: TriggerPauseReasonEnum,
      nullable: true,
      description: 'Why it stands still; null while it does not.',
      resolve: ({ pausedBecause }) => pausedBecause,
    }),
    problem: t.exposeString('problem', {
      nullable: true,
      description: 'The same in words, with what to do about it.',
    }),
    health: t.field({
      type: TriggerHealthRef,
      description: 'How its deliveries do.',
      resolve: ({ id }, _args, { app }) => app.triggers.healthOf(id),
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

/** Whoever may use what a trigger listens to, and what it writes to: its action shows values, and can be had again. */
function sees(caller: GraphQLContext['caller'], { connectionId, baseId, action }: Trigger): boolean {
  return (
    caller.sees(connectionId, baseId) && (!action || caller.sees(action.connection, action.config.baseId))
  );
}

/** @throws AppError TRIGGER_NOT_FOUND for what is missing and for what is out of the caller's reach alike. */
export async function visibleTrigger(id: string, { app, caller }: GraphQLContext): Promise<Trigger> {
  const trigger = await app.triggers.stored.get(id);
  if (sees(caller, trigger)) return trigger;
  throw triggerNotFound(id);
}

builder.queryField('triggers', (t) =>
  t.field({
    type: [TriggerRef],
    authScopes: { role: 'admin' },
    args: {
      connection: t.arg.int({
        description: 'Only those of this connection.',
        validate: { schema: connectionId },
      }),
    },
    description: 'The triggers of all bases that your key may use, oldest first. For admins.',
    resolve: async (_root, { connection }, { app, caller }) =>
      (await app.triggers.stored.list()).filter(
        (trigger) => sees(caller, trigger) && (connection == null || trigger.connectionId === connection),
      ),
  }),
);

builder.queryField('trigger', (t) =>
  t.field({
    type: TriggerRef,
    nullable: true,
    authScopes: { role: 'admin' },
    args: { id: t.arg.string({ required: true, description: 'Our id of it.' }) },
    description: 'One trigger. For admins.',
    resolve: (_root, { id }, context) => visibleTrigger(id, context),
  }),
);
