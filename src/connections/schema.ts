import { encodeGlobalID } from '@pothos/plugin-relay';
import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import { beforeLookups } from '../graphql/pending-work.ts';
import { connectionNotFound } from '../access/caller.ts';
import { connectionStates, type ConnectionEntity, type ConnectionState } from './connection.entity.ts';
import { connectionId } from './connection-input.ts';
import { availableActions, connectionActions } from './connection-actions.ts';
import { problems } from './problem.ts';
import { missingScopes, scopePresets, type ScopePreset } from './scopes.ts';

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

export const ScopePresetEnum = builder.enumType('ScopePreset', {
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

export const ConnectionProblemRef = builder
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

export const CalendlyAccountRef = builder
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
    managedByFile: t.exposeBoolean('managedByFile', {
      description:
        "Whether it is written down in the server's connections file. If so, updateConnection and deleteConnection are refused; granting access, testing, rotating and disconnecting work as ever.",
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
    lastUsedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When it was last used for a call to the service, up to ten minutes behind; null until it was. What our own webhooks read counts. A change of it is not told by `connectionChanges`.',
      resolve: (connection) => connection.lastUsedAt,
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
export async function visibleConnection(
  id: number,
  { app, caller }: GraphQLContext,
): Promise<ConnectionEntity> {
  if (!caller.sees(id)) throw connectionNotFound(id);
  return app.connections.get(id);
}

/** The input of a mutation that only needs to know which connection. */
export function connectionChoice(name: string, description: string) {
  return builder.inputType(name, {
    description,
    fields: (t) => ({
      connection: t.int({
        required: true,
        description: 'The number of the connection.',
        validate: { schema: connectionId },
      }),
    }),
  });
}
