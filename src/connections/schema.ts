import { encodeGlobalID } from '@pothos/plugin-relay';
import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import {
  ConnectionNotConnected,
  ConnectionNotFound,
  NameTaken,
  withTypedErrors,
} from '../graphql/error-types.ts';
import { InvalidInput } from '../graphql/invalid-input.ts';
import { beforeLookups } from '../graphql/pending-work.ts';
import { validatedBy } from '../graphql/validated-by.ts';
import { connectionNotFound } from '../access/caller.ts';
import { AppError } from '../errors.ts';
import { connectionStates, type ConnectionEntity, type ConnectionState } from './connection.entity.ts';
import { connectionId, newConnection } from './connection-input.ts';
import { availableActions, connectionActions } from './connection-actions.ts';
import type { DisconnectReport } from './disconnect.ts';
import { problems } from './problem.ts';
import { missingScopes, requestedScopes, scopePresets, type ScopePreset } from './scopes.ts';

const ConnectionTypeEnum = builder.enumType('ConnectionType', {
  description: 'The service that a connection leads to.',
  values: {
    CALENDLY: {
      description: 'Calendly\'s record API. In JSON configuration: `"calendly"`.',
      value: 'calendly',
    },
  } as const,
});

const stateDescriptions: Record<ConnectionState, string> = {
  configured: 'Credentials are saved, nobody has granted access yet.',
  connected: 'Access was granted and the tokens work.',
  disconnected: 'Access was given up on purpose.',
  error: 'Authorization failed or was lost; `problem` says why.',
};

const ConnectionStateEnum = builder.enumType('ConnectionState', {
  description: 'Where a connection stands.',
  values: Object.fromEntries(
    connectionStates.map((state) => [
      state.toUpperCase(),
      { value: state, description: stateDescriptions[state] },
    ]),
  ) as Record<Uppercase<ConnectionState>, { value: ConnectionState; description: string }>,
});

const ConnectionActionEnum = builder.enumType('ConnectionAction', {
  description: 'What can be done with a connection now, for the buttons of a settings page.',
  values: Object.fromEntries(
    Object.entries(connectionActions).map(([action, description]) => [action, { description }]),
  ) as Record<keyof typeof connectionActions, { description: string }>,
});

const ScopePresetEnum = builder.enumType('ScopePreset', {
  description: 'How much access a connection asks for. Ask for no more than you need.',
  values: Object.fromEntries(
    Object.entries(scopePresets).map(([preset, scopes]) => [
      preset,
      { description: `The scopes ${scopes.join(', ')}.` },
    ]),
  ) as Record<ScopePreset, { description: string }>,
});

const ProblemCodeEnum = builder.enumType('ConnectionProblemCode', {
  description: 'Why a connection is in the state ERROR.',
  values: Object.fromEntries(
    Object.entries(problems).map(([code, description]) => [code, { description }]),
  ) as Record<keyof typeof problems, { description: string }>,
});

const ConnectionProblemRef = builder
  .objectRef<{ code: keyof typeof problems; message: string }>('ConnectionProblem')
  .implement({
    description: 'Why a connection does not work, and what to do.',
    fields: (t) => ({
      code: t.field({
        type: ProblemCodeEnum,
        description: 'Which problem.',
        resolve: (problem) => problem.code,
      }),
      message: t.exposeString('message', {
        description: 'What happened and what to do next. May be shown to people.',
      }),
    }),
  });

const CalendlyAccountRef = builder
  .objectRef<{ id: string; email: string | null }>('CalendlyAccount')
  .implement({
    description: 'The Calendly user who granted access.',
    fields: (t) => ({
      id: t.exposeString('id', { description: "The user's id at Calendly." }),
      email: t.exposeString('email', {
        nullable: true,
        description: 'The e-mail address; null without the scope `user.email:read`.',
      }),
    }),
  });

export const ConnectionRef = builder.interfaceRef<ConnectionEntity>('Connection');

ConnectionRef.implement({
  description:
    "An organisation's grant to an outside service. Not a page of results: pages are called …Page here.",
  resolveType: () => 'CalendlyConnection',
  fields: (t) => ({
    nodeId: t.id({
      description: "Relay's global id of this object. Pass it to `node` or `nodes`.",
      resolve: (connection) => encodeGlobalID('CalendlyConnection', connection.id),
    }),
    id: t.exposeInt('id', { description: 'The number that other fields take as `connection`.' }),
    type: t.field({
      type: ConnectionTypeEnum,
      description: 'The service it leads to.',
      resolve: (connection) => connection.type,
    }),
    name: t.exposeString('name', {
      description: 'A label for people, unique on this server, 1 to 100 characters.',
    }),
    state: t.field({
      type: ConnectionStateEnum,
      description: 'Where it stands.',
      resolve: (connection) => connection.state,
    }),
    problem: t.field({
      type: ConnectionProblemRef,
      nullable: true,
      description: 'Set in the state ERROR only.',
      resolve: ({ state, problemCode, problemMessage }) =>
        state === 'error' && problemCode && problemCode in problems
          ? {
              code: problemCode as keyof typeof problems,
              message: problemMessage ?? problems[problemCode as keyof typeof problems],
            }
          : null,
    }),
    availableActions: t.field({
      type: [ConnectionActionEnum],
      description: 'What can be done with it now.',
      resolve: (connection) => availableActions(connection),
    }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'When it was created.',
      resolve: (connection) => connection.createdAt,
    }),
    updatedAt: t.field({
      type: 'DateTime',
      description: 'When it last changed, token refreshes included.',
      resolve: (connection) => connection.updatedAt,
    }),
  }),
});

export const CalendlyConnectionRef = builder.objectRef<ConnectionEntity>('CalendlyConnection');

builder.node(CalendlyConnectionRef, {
  description:
    "A grant to Calendly's record API: bases, tables, records and webhooks are reached through it.",
  interfaces: [ConnectionRef],
  id: { resolve: (connection) => connection.id },
  fields: (t) => ({
    clientId: t.exposeString('clientId', { description: 'The OAuth client id.' }),
    clientSecret: t.string({
      description: 'Always `***`. Writing `***` back keeps the stored secret.',
      resolve: () => '***',
    }),
    scopes: t.exposeStringList('grantedScopes', { description: 'What was granted, as the service said.' }),
    missingScopes: t.stringList({
      description: 'What the connection asks for and was not granted. Connect again to grant it.',
      resolve: ({ state, requestedScopes: requested, grantedScopes }) =>
        state === 'connected' ? missingScopes(requested, grantedScopes) : [],
    }),
    account: t.field({
      type: CalendlyAccountRef,
      nullable: true,
      description: 'Who granted access; null until somebody has.',
      resolve: ({ accountId, accountEmail }) =>
        accountId === null ? null : { id: accountId, email: accountEmail },
    }),
    accessTokenExpiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the present access token ends. It is renewed by itself.',
      resolve: (connection) => connection.accessTokenExpiresAt,
    }),
    refreshTokenExpiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Until when the grant can be renewed. Each renewal moves it.',
      resolve: (connection) => connection.refreshTokenExpiresAt,
    }),
    lastRefreshedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the tokens were last renewed.',
      resolve: (connection) => connection.lastRefreshedAt,
    }),
  }),
});

builder.queryFields((t) => ({
  connections: t.field({
    type: [ConnectionRef],
    args: { state: t.arg({ type: ConnectionStateEnum, description: 'Only connections in this state.' }) },
    description: 'All connections that your key may see, oldest first; a server holds 1,000 at most.',
    resolve: (_root, { state }, context) =>
      beforeLookups(context, context.app.connections.list(context.caller, state ?? undefined)),
  }),
  connection: t.field({
    type: ConnectionRef,
    nullable: true,
    args: {
      id: t.arg.int({
        required: true,
        description: 'The number of the connection.',
        validate: { schema: connectionId },
      }),
    },
    description: 'One connection by its number; null when there is none that your key may see.',
    resolve: (_root, { id }, context) =>
      context.caller.sees(id) ? beforeLookups(context, context.app.connections.find(id)) : null,
  }),
}));

/** @throws AppError CONNECTION_NOT_FOUND for what is missing and for what is out of the caller's reach alike. */
async function visibleConnection(id: number, { app, caller }: GraphQLContext): Promise<ConnectionEntity> {
  if (!caller.sees(id)) throw connectionNotFound(id);
  return app.connections.get(id);
}

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

const DisconnectConnectionInput = builder.inputType('DisconnectConnectionInput', {
  description: 'Which connection to disconnect.',
  fields: (t) => ({
    connection: t.int({
      required: true,
      description: 'The number of the connection.',
      validate: { schema: connectionId },
    }),
  }),
});

const DisconnectConnectionSuccess = builder
  .objectRef<DisconnectReport & { connection: ConnectionEntity }>('DisconnectConnectionSuccess')
  .implement({
    description:
      'The tokens are forgotten here in any case. The other fields say what the upstream confirmed.',
    fields: (t) => ({
      connection: t.field({
        type: CalendlyConnectionRef,
        description: 'The connection as it is now.',
        resolve: (result) => result.connection,
      }),
      tokensRevoked: t.exposeBoolean('tokensRevoked', {
        description:
          'Whether the service confirmed that the tokens are dead. If not, access can be removed in the account settings there.',
      }),
      webhooksDeleted: t.exposeInt('webhooksDeleted', {
        description: 'Webhooks that were deleted at the service.',
      }),
      webhooksFailed: t.exposeInt('webhooksFailed', {
        description: 'Webhooks whose deletion was not confirmed; they end by themselves within seven days.',
      }),
    }),
  });

builder.mutationField('disconnectConnection', (t) =>
  t.field({
    type: DisconnectConnectionSuccess,
    authScopes: { role: 'admin' },
    args: {
      input: t.arg({ type: DisconnectConnectionInput, required: true, description: 'Which connection.' }),
    },
    description: 'Gives up the grant: webhooks are deleted, tokens revoked, then forgotten. For admins.',
    errors: { types: [InvalidInput, ConnectionNotFound, ConnectionNotConnected] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const before = await visibleConnection(input.connection, context);
        if (before.state !== 'connected' && before.state !== 'error') {
          throw new AppError(
            'CONNECTION_NOT_CONNECTED',
            `Connection ${before.id} is ${before.state}: there is no grant to give up.`,
            {
              details: { connectionId: before.id, state: before.state.toUpperCase() },
            },
          );
        }
        const report = await context.app.disconnect(before.id);
        return { ...report, connection: await context.app.connections.get(before.id) };
      }),
  }),
);
