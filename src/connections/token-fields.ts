import { builder } from '../graphql/builder.ts';
import { ConnectionNotConnected, ConnectionNotFound, withTypedErrors } from '../graphql/error-types.ts';
import { InvalidInput } from '../graphql/invalid-input.ts';
import type { ConnectionEntity } from './connection.entity.ts';
import { testConnection, type ConnectionTest } from './connection-test.ts';
import {
  CalendlyAccountRef,
  CalendlyConnectionRef,
  connectionChoice,
  ConnectionProblemRef,
  visibleConnection,
} from './schema.ts';

const TestConnectionSuccess = builder
  .objectRef<ConnectionTest & { connection: ConnectionEntity }>('TestConnectionSuccess')
  .implement({
    description: 'The test was made. Whether the connection passed is in `works`.',
    fields: (t) => ({
      works: t.boolean({
        description: 'Whether the service accepted the tokens.',
        resolve: ({ problem }) => problem === null,
      }),
      problem: t.field({
        type: ConnectionProblemRef,
        nullable: true,
        description:
          'Why it does not work, and what to do; null when it does. PROVIDER_UNAVAILABLE leaves the state as it is.',
        resolve: (result) => result.problem,
      }),
      account: t.field({
        type: CalendlyAccountRef,
        nullable: true,
        description: 'Who granted access, as the service says now; null when it did not say.',
        resolve: (result) => result.account,
      }),
      latencyMs: t.exposeInt('latencyMs', {
        description: 'How long the answer took, in milliseconds, waits and a renewal of the tokens included.',
      }),
      connection: t.field({
        type: CalendlyConnectionRef,
        description:
          'The connection as it is now: its state and granted scopes may have changed by the test.',
        resolve: (result) => result.connection,
      }),
    }),
  });

builder.mutationField('testConnection', (t) =>
  t.field({
    type: TestConnectionSuccess,
    nullable: true,
    authScopes: { role: 'editor' },
    args: {
      input: t.arg({
        type: connectionChoice('TestConnectionInput', 'Which connection to test.'),
        required: true,
        description: 'Which connection.',
      }),
    },
    description:
      'Asks the service whose tokens these are and what they allow. Takes one upstream call. For editors and admins.',
    errors: { types: [InvalidInput, ConnectionNotFound, ConnectionNotConnected] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const { app, operation } = context;
        const connection = await visibleConnection(input.connection, context);
        const result = await testConnection(connection, operation, app);
        return { ...result, connection: await app.connections.get(connection.id) };
      }),
  }),
);

const RotateTokensSuccess = builder
  .objectRef<{ connection: ConnectionEntity }>('RotateTokensSuccess')
  .implement({
    description: 'The tokens were exchanged for new ones; the old ones are void.',
    fields: (t) => ({
      connection: t.field({
        type: CalendlyConnectionRef,
        description: 'The connection as it is now.',
        resolve: (result) => result.connection,
      }),
    }),
  });

builder.mutationField('rotateTokens', (t) =>
  t.field({
    type: RotateTokensSuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: {
      input: t.arg({
        type: connectionChoice('RotateTokensInput', 'Whose tokens to exchange.'),
        required: true,
        description: 'Which connection.',
      }),
    },
    description:
      'Exchanges the tokens now, for example after they may have been seen. Requests that run go on. For admins.',
    errors: { types: [InvalidInput, ConnectionNotFound, ConnectionNotConnected] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const { app } = context;
        const { id } = await visibleConnection(input.connection, context);
        await app.tokens.rotate(id);
        return { connection: await app.connections.get(id) };
      }),
  }),
);
