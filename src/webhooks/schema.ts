import { CalendlyConnectionRef } from '../connections/schema.ts';
import { connectionId } from '../connections/connection-input.ts';
import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import { ConnectionNotConnected, ConnectionNotFound, withTypedErrors } from '../graphql/error-types.ts';
import { InvalidInput } from '../graphql/invalid-input.ts';
import type { NotificationResult, Webhook } from './webhook.ts';

const WebhookStateEnum = builder.enumType('WebhookState', {
  description: 'Whether a webhook tells us of changes.',
  values: {
    ACTIVE: { value: 'active', description: 'It lives, and changes are logged.' },
    LOST: { value: 'lost', description: 'It is gone upstream, and a new one is about to take its place.' },
  } as const,
});

const NotificationResultRef = builder.objectRef<NotificationResult>('WebhookNotificationResult').implement({
  description: "How the upstream's last notification to us went, as the upstream tells it.",
  fields: (t) => ({
    success: t.exposeBoolean('success', { description: 'Whether we answered it well.' }),
    message: t.exposeString('message', {
      nullable: true,
      description: 'What went wrong, in the words of the upstream.',
    }),
    retryNumber: t.exposeInt('retryNumber', {
      nullable: true,
      description: 'Which try it was; 0 is the first.',
    }),
    willBeRetried: t.exposeBoolean('willBeRetried', {
      nullable: true,
      description: 'Whether the upstream will try again.',
    }),
    completedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it ended.',
      resolve: (result) => result.completedAt,
    }),
  }),
});

export const WebhookRef = builder.objectRef<Webhook>('Webhook').implement({
  description:
    'A subscription that this server holds upstream. There is one per OAuth client and base, whoever asked for it; what it tells goes into the change log of the base.',
  fields: (t) => ({
    id: t.exposeString('id', { description: 'Our own id of it, as in its notification URL.' }),
    upstreamId: t.exposeString('upstreamId', {
      nullable: true,
      description: "The upstream's id of it; starts with `ach`.",
    }),
    baseId: t.exposeString('baseId', { description: 'The base it listens to.' }),
    state: t.field({
      type: WebhookStateEnum,
      description: 'Whether it works.',
      resolve: ({ state }) => (state === 'lost' ? 'lost' : 'active'),
    }),
    problem: t.exposeString('problem', {
      nullable: true,
      description: 'Why changes could not be pulled the last time.',
    }),
    notificationUrl: t.exposeString('notificationUrl', {
      nullable: true,
      description:
        'Where the upstream pings us; null when it could not reach us there, and changes are pulled on a timer instead.',
    }),
    expiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the upstream would end it. It is renewed long before.',
      resolve: (webhook) => webhook.expiresAt,
    }),
    lastPingAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the upstream last told us to look.',
      resolve: (webhook) => webhook.lastPingAt,
    }),
    lastPayloadAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When changes were last pulled.',
      resolve: (webhook) => webhook.lastPayloadAt,
    }),
    lastDrainedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Every change that the upstream had recorded by then is in the log.',
      resolve: (webhook) => webhook.lastDrainedAt,
    }),
    lastNotificationResult: t.field({
      type: NotificationResultRef,
      nullable: true,
      description:
        "The upstream's word on its last notification, looked up every minute while somebody listens, and every ten minutes otherwise.",
      resolve: (webhook) => webhook.notificationResult,
    }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'When it was created.',
      resolve: (webhook) => webhook.createdAt,
    }),
  }),
});

builder.objectField(CalendlyConnectionRef, 'webhooks', (t) =>
  t.field({
    type: [WebhookRef],
    description:
      'The webhooks of the bases that this connection may read, oldest first. Each is shared by all connections of an OAuth client.',
    resolve: (connection, _args, { app, caller, operation }) =>
      app.webhooks.shared.list(connection, operation, (baseId) => caller.sees(connection.id, baseId)),
  }),
);

/** @throws AppError WEBHOOK_NOT_FOUND for what is missing and for what is out of the caller's reach alike. */
function visibleWebhook(id: string, { app, caller, operation }: GraphQLContext): Promise<Webhook> {
  return app.webhooks.shared.find(id, operation, (connectionId, baseId) => caller.sees(connectionId, baseId));
}

const errors = { types: [InvalidInput, ConnectionNotFound, ConnectionNotConnected] };

const CreateWebhookInput = builder.inputType('CreateWebhookInput', {
  description: 'What to listen to.',
  fields: (t) => ({
    connection: t.int({
      required: true,
      description: 'The number of the connection.',
      validate: { schema: connectionId },
    }),
    baseId: t.string({ required: true, description: 'Id of the base; starts with `app`.' }),
  }),
});

const CreateWebhookSuccess = builder.objectRef<{ webhook: Webhook }>('CreateWebhookSuccess').implement({
  description: 'The base has a webhook: from now on its changes are logged.',
  fields: (t) => ({
    webhook: t.field({
      type: WebhookRef,
      description: 'The webhook, which may have been there already.',
      resolve: (result) => result.webhook,
    }),
  }),
});

builder.mutationField('createWebhook', (t) =>
  t.field({
    type: CreateWebhookSuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: CreateWebhookInput, required: true, description: 'What to listen to.' }) },
    description:
      'Sees to it that a base has a webhook. Subscriptions do the same by themselves; this begins the log before anybody subscribes. Needs the scopes `webhook:manage` and `data.records:read`. For admins.',
    errors,
    resolve: (_root, { input }, { app, caller, operation }) =>
      withTypedErrors(async () => {
        caller.requireBase(input.connection, input.baseId);
        const { webhook } = await app.webhooks.ensure(input.connection, input.baseId, operation);
        return { webhook };
      }),
  }),
);

const RefreshWebhookInput = builder.inputType('RefreshWebhookInput', {
  description: 'Which webhook to refresh.',
  fields: (t) => ({ id: t.string({ required: true, description: 'Our id of the webhook.' }) }),
});

const RefreshWebhookSuccess = builder.objectRef<{ webhook: Webhook }>('RefreshWebhookSuccess').implement({
  description: 'The webhook lives for seven more days.',
  fields: (t) => ({
    webhook: t.field({
      type: WebhookRef,
      description: 'The webhook as it is now.',
      resolve: (result) => result.webhook,
    }),
  }),
});

builder.mutationField('refreshWebhook', (t) =>
  t.field({
    type: RefreshWebhookSuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: RefreshWebhookInput, required: true, description: 'Which webhook.' }) },
    description:
      'Extends the life of a webhook upstream. This also happens by itself, long before it ends. For admins.',
    errors,
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => ({
        webhook: await context.app.webhooks.refresh(
          await visibleWebhook(input.id, context),
          context.operation,
        ),
      })),
  }),
);

const DeleteWebhookInput = builder.inputType('DeleteWebhookInput', {
  description: 'Which webhook to delete.',
  fields: (t) => ({ id: t.string({ required: true, description: 'Our id of the webhook.' }) }),
});

const DeleteWebhookSuccess = builder.objectRef<{ id: string }>('DeleteWebhookSuccess').implement({
  description: 'The webhook is gone upstream and here. The log of the base stays.',
  fields: (t) => ({ id: t.exposeString('id', { description: 'Our id of the webhook that is gone.' }) }),
});

builder.mutationField('deleteWebhook', (t) =>
  t.field({
    type: DeleteWebhookSuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: DeleteWebhookInput, required: true, description: 'Which webhook.' }) },
    description:
      'Deletes a webhook upstream. Changes are no longer logged; while somebody is subscribed to the base a new one is made after some seconds, and the gap is told as `ChangesLost`. For admins.',
    errors,
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const webhook = await visibleWebhook(input.id, context);
        await context.app.webhooks.delete(webhook, context.operation);
        return { id: webhook.id, webhook };
      }),
  }),
);
