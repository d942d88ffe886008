import { CalendlyConnectionRef } from '../connections/schema.ts';
import { connectionId } from '../connections/connection-input.ts';
import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import { ConnectionNotConnected, ConnectionNotFound, withTypedErrors } from '../graphql/error-types.ts';
import { InvalidInput } from '../graphql/invalid-input.ts';
import { WebhookRef } from './webhook-fields.ts';
import type { Webhook } from './webhook.ts';

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
