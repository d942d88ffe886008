import { builder } from '../graphql/builder.ts';
import {
  ConnectionManaged,
  ConnectionNotConnected,
  ConnectionNotFound,
  withTypedErrors,
} from '../graphql/error-types.ts';
import { InvalidInput } from '../graphql/invalid-input.ts';
import type { ConnectionEntity } from './connection.entity.ts';
import type { GrantReport } from './grant-ending.ts';
import { CalendlyConnectionRef, connectionChoice, visibleConnection } from './schema.ts';

export const GrantEndingRef = builder.interfaceRef<GrantReport>('GrantEnding').implement({
  description: 'What the service confirmed of the end of a grant. Here it is over in any case.',
  fields: (t) => ({
    tokensRevoked: t.exposeBoolean('tokensRevoked', {
      nullable: true,
      description:
        'Whether the service confirmed that the tokens are dead; null when there were none. If false, access can be removed in the account settings there.',
    }),
    webhooksDeleted: t.exposeInt('webhooksDeleted', {
      description: 'Webhooks that were deleted at the service.',
    }),
    webhooksFailed: t.exposeInt('webhooksFailed', {
      description: 'Webhooks whose deletion was not confirmed; they end by themselves within seven days.',
    }),
  }),
});

const DisconnectConnectionSuccess = builder
  .objectRef<GrantReport & { connection: ConnectionEntity }>('DisconnectConnectionSuccess')
  .implement({
    description: 'The tokens are forgotten here in any case.',
    interfaces: [GrantEndingRef],
    fields: (t) => ({
      connection: t.field({
        type: CalendlyConnectionRef,
        description: 'The connection as it is now.',
        resolve: (result) => result.connection,
      }),
    }),
  });

builder.mutationField('disconnectConnection', (t) =>
  t.field({
    type: DisconnectConnectionSuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: {
      input: t.arg({
        type: connectionChoice('DisconnectConnectionInput', 'Which connection to disconnect.'),
        required: true,
        description: 'Which connection.',
      }),
    },
    description: 'Gives up the grant: webhooks are deleted, tokens revoked, then forgotten. For admins.',
    errors: { types: [InvalidInput, ConnectionNotFound, ConnectionNotConnected] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const { app } = context;
        const report = await app.lifecycle.disconnect(await visibleConnection(input.connection, context));
        return { ...report, connection: await app.connections.get(input.connection) };
      }),
  }),
);

const DeleteConnectionSuccess = builder
  .objectRef<GrantReport & { connectionId: number; name: string }>('DeleteConnectionSuccess')
  .implement({
    description: 'The connection is gone, and everything secret of it is erased.',
    interfaces: [GrantEndingRef],
    fields: (t) => ({
      connectionId: t.exposeInt('connectionId', { description: 'The number it had.' }),
      name: t.exposeString('name', { description: 'The name it had; it is free again.' }),
    }),
  });

builder.mutationField('deleteConnection', (t) =>
  t.field({
    type: DeleteConnectionSuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: {
      input: t.arg({
        type: connectionChoice('DeleteConnectionInput', 'Which connection to delete.'),
        required: true,
        description: 'Which connection.',
      }),
    },
    description:
      'Deletes a connection in any state: webhooks are deleted, tokens revoked, then everything is erased. For admins.',
    errors: { types: [InvalidInput, ConnectionNotFound, ConnectionManaged] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const { app } = context;
        const connection = await visibleConnection(input.connection, context);
        const report = await app.lifecycle.delete(connection);
        return { ...report, connectionId: connection.id, name: connection.name };
      }),
  }),
);
