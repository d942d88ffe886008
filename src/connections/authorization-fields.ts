import { builder } from '../graphql/builder.ts';
import { ConnectionNotFound, withTypedErrors } from '../graphql/error-types.ts';
import { InvalidInput } from '../graphql/invalid-input.ts';
import type { ConnectionEntity } from './connection.entity.ts';
import { connectionId } from './connection-input.ts';
import { CalendlyConnectionRef, visibleConnection } from './schema.ts';

const ConnectConnectionInput = builder.inputType('ConnectConnectionInput', {
  description: 'Which connection to authorize.',
  fields: (t) => ({
    connection: t.int({
      required: true,
      description: 'The number of the connection.',
      validate: { schema: connectionId },
    }),
    redirectTo: t.string({
      description:
        'Where the last page leads back to. Its origin must be our own or one of ALLOWED_REDIRECT_ORIGINS.',
      validate: { maxLength: [2_000, { message: 'redirectTo must not exceed 2000 characters' }] },
    }),
  }),
});

const ConnectConnectionSuccess = builder
  .objectRef<{ authorizationUrl: string; expiresAt: Date; connection: ConnectionEntity }>(
    'ConnectConnectionSuccess',
  )
  .implement({
    description: 'Open `authorizationUrl` in a browser, or hand it to the owner of the account.',
    fields: (t) => ({
      authorizationUrl: t.exposeString('authorizationUrl', { description: 'A link that opens once.' }),
      expiresAt: t.field({
        type: 'DateTime',
        description: 'Until when the whole flow must be finished: ten minutes from now.',
        resolve: (result) => result.expiresAt,
      }),
      connection: t.field({
        type: CalendlyConnectionRef,
        description: 'The connection as it is now.',
        resolve: (result) => result.connection,
      }),
    }),
  });

builder.mutationField('connectConnection', (t) =>
  t.field({
    type: ConnectConnectionSuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: {
      input: t.arg({ type: ConnectConnectionInput, required: true, description: 'Which connection.' }),
    },
    description:
      'Begins the OAuth flow. A flow that was begun earlier for the same connection ends with that. For admins.',
    errors: { types: [InvalidInput, ConnectionNotFound] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const redirectTo = allowedRedirect(
          input.redirectTo ?? null,
          context.app.config.publicUrl,
          context.app.config.allowedRedirectOrigins,
        );
        const connection = await visibleConnection(input.connection, context);
        return { ...(await context.app.flows.begin(connection, context.caller, redirectTo)), connection };
      }),
  }),
);

function allowedRedirect(
  redirectTo: string | null,
  publicUrl: string,
  allowedOrigins: string[],
): string | null {
  if (redirectTo === null) return null;
  const url = URL.canParse(redirectTo) ? new URL(redirectTo) : null;
  const isWeb = url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
  if (isWeb && [new URL(publicUrl).origin, ...allowedOrigins].includes(url.origin)) return url.href;
  throw new InvalidInput([
    {
      path: ['redirectTo'],
      message: 'redirectTo must be a URL of this server or of an origin in ALLOWED_REDIRECT_ORIGINS',
    },
  ]);
}
