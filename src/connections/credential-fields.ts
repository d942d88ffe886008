import { builder } from '../graphql/builder.ts';
import { ConnectionManaged, ConnectionNotFound, NameTaken, withTypedErrors } from '../graphql/error-types.ts';
import { InvalidInput } from '../graphql/invalid-input.ts';
import { validatedBy } from '../graphql/validated-by.ts';
import type { ConnectionEntity } from './connection.entity.ts';
import { connectionId, connectionUpdate, newConnection } from './connection-input.ts';
import { GrantEndingRef } from './grant-fields.ts';
import type { GrantReport } from './grant-ending.ts';
import { CalendlyConnectionRef, ScopePresetEnum, visibleConnection } from './schema.ts';
import { changedScopes, requestedScopes, type ScopePreset } from './scopes.ts';

const CreateConnectionInput = builder.inputType('CreateConnectionInput', {
  description:
    'A new connection. Everything that is required is checked at once, so that a form can show all faults.',
  fields: (t) => ({
    type: t.string({ description: 'Required. Exactly `calendly`.' }),
    name: t.string({
      description: 'Required. A label for people, 1 to 100 characters, unique on this server.',
    }),
    clientId: t.string({
      description: "Required. The client ID of the OAuth integration in Calendly's Developer Hub.",
    }),
    clientSecret: t.string({
      description:
        'Required. The client secret that belongs to it. Encrypted before it is stored, and never shown again.',
    }),
    scopes: t.field({
      type: ScopePresetEnum,
      defaultValue: 'WITH_WEBHOOKS',
      description: 'How much access to ask for.',
    }),
    withEmail: t.boolean({
      defaultValue: false,
      description: "Also ask for the account's e-mail address, to show who granted access.",
    }),
  }),
});

const CreateConnectionSuccess = builder
  .objectRef<{ connection: ConnectionEntity }>('CreateConnectionSuccess')
  .implement({
    description: 'The connection was created. Its state is CONFIGURED: run connectConnection next.',
    fields: (t) => ({
      connection: t.field({
        type: CalendlyConnectionRef,
        description: 'The new connection.',
        resolve: (result) => result.connection,
      }),
    }),
  });

builder.mutationField('createConnection', (t) =>
  t.field({
    type: CreateConnectionSuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: {
      input: t.arg({
        type: CreateConnectionInput,
        required: true,
        description: 'The new connection.',
        validate: validatedBy(newConnection.loose()),
      }),
    },
    description: 'Saves the credentials of an OAuth integration. For admins.',
    errors: { types: [InvalidInput, NameTaken] },
    resolve: (_root, { input }, { app }) =>
      withTypedErrors(async () => {
        const fields = newConnection.parse(input);
        const connection = await app.connections.create({
          ...fields,
          requestedScopes: requestedScopes(
            (input.scopes as ScopePreset | null) ?? 'WITH_WEBHOOKS',
            input.withEmail ?? false,
          ),
        });
        return { connection };
      }),
  }),
);

const UpdateConnectionInput = builder.inputType('UpdateConnectionInput', {
  description:
    'What to change of a connection. What is left out, null, or as it was stays as it is, so that a form can send everything back.',
  fields: (t) => ({
    connection: t.int({
      required: true,
      description: 'The number of the connection.',
      validate: { schema: connectionId },
    }),
    type: t.string({ description: 'Can not be changed: anything but `calendly` is refused.' }),
    name: t.string({ description: 'Another label, 1 to 100 characters, unique on this server.' }),
    clientId: t.string({ description: 'Another client ID. The grant of the old one ends.' }),
    clientSecret: t.string({
      description: 'Another client secret; `***` keeps the stored one. The grant of the old one ends.',
    }),
    scopes: t.field({
      type: ScopePresetEnum,
      description: 'How much access to ask for from now on. What is not granted yet is in `missingScopes`.',
    }),
    withEmail: t.boolean({ description: "Whether to ask for the account's e-mail address from now on." }),
  }),
});

const UpdateConnectionSuccess = builder
  .objectRef<GrantReport & { connection: ConnectionEntity }>('UpdateConnectionSuccess')
  .implement({
    description:
      'The connection was changed. With another client ID or secret it is CONFIGURED: run connectConnection next; the other fields then say what the service confirmed of the end of the old grant.',
    interfaces: [GrantEndingRef],
    fields: (t) => ({
      connection: t.field({
        type: CalendlyConnectionRef,
        description: 'The connection as it is now.',
        resolve: (result) => result.connection,
      }),
    }),
  });

builder.mutationField('updateConnection', (t) =>
  t.field({
    type: UpdateConnectionSuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: {
      input: t.arg({
        type: UpdateConnectionInput,
        required: true,
        description: 'What to change.',
        validate: validatedBy(connectionUpdate.loose()),
      }),
    },
    description: 'Renames a connection, or changes its credentials or the scopes it asks for. For admins.',
    errors: { types: [InvalidInput, NameTaken, ConnectionNotFound, ConnectionManaged] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const { app } = context;
        const before = await visibleConnection(input.connection, context);
        const report = await app.lifecycle.update(before, {
          ...connectionUpdate.parse(input),
          requestedScopes:
            input.scopes == null && input.withEmail == null
              ? null
              : changedScopes(before.requestedScopes, input.scopes ?? null, input.withEmail ?? null),
        });
        return { ...(report ?? nothingEnded), connection: await app.connections.get(before.id) };
      }),
  }),
);

const nothingEnded: GrantReport = { tokensRevoked: null, webhooksDeleted: 0, webhooksFailed: 0 };
