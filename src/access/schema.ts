import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import {
  ApiKeyConfigured,
  ApiKeyNotFound,
  ConnectionNotFound,
  withTypedErrors,
} from '../graphql/error-types.ts';
import { InvalidInput } from '../graphql/invalid-input.ts';
import type { ApiKey } from './api-key.ts';
import { apiKeyNotFound, type NewApiKey } from './api-keys.ts';
import { connectionNotFound, type Role } from './caller.ts';
import { newApiKey } from './key-input.ts';

export const RoleEnum = builder.enumType('Role', {
  description: 'What a caller may do. Each role may do what the ones before it may.',
  values: {
    VIEWER: { value: 'viewer', description: 'Read, and subscribe to changes.' },
    EDITOR: { value: 'editor', description: 'Also write records.' },
    ADMIN: { value: 'admin', description: 'Also manage connections, webhooks, triggers and API keys.' },
  } satisfies Record<Uppercase<Role>, { value: Role; description: string }>,
});

export const ApiKeyRef = builder.objectRef<ApiKey>('ApiKey').implement({
  description:
    'What somebody sends to be let in. The key itself is shown once, when it is created, and never again.',
  fields: (t) => ({
    id: t.exposeInt('id', { description: 'The number that `revokeApiKey` takes.' }),
    name: t.exposeString('name', { description: 'A label for people. Two keys may have the same.' }),
    role: t.field({ type: RoleEnum, description: 'What it may do.', resolve: ({ role }) => role }),
    connections: t.field({
      type: ['Int'],
      nullable: true,
      description: 'The numbers of the only connections that it reaches; null for all.',
      resolve: ({ connectionIds }) => connectionIds,
    }),
    bases: t.field({
      type: ['String'],
      nullable: true,
      description: 'The ids of the only bases that it reaches; null for all.',
      resolve: ({ baseIds }) => baseIds,
    }),
    configured: t.exposeBoolean('configured', {
      description: 'Whether it is ADMIN_API_KEY of the server, which only its configuration changes.',
    }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'When it was created.',
      resolve: ({ createdAt }) => createdAt,
    }),
    expiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it ends by itself; null for never.',
      resolve: ({ expiresAt }) => expiresAt,
    }),
    lastUsedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it last let somebody in, to the minute; null for never.',
      resolve: ({ lastUsedAt }) => lastUsedAt,
    }),
    revokedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was revoked; null when it was not.',
      resolve: ({ revokedAt }) => revokedAt,
    }),
  }),
});

/** An admin whose key reaches a part only has to do with keys that reach no further. */
const governs = ({ caller }: GraphQLContext, { connectionIds, baseIds }: ApiKey | NewApiKey): boolean =>
  caller.covers(connectionIds, baseIds);

builder.queryField('apiKeys', (t) =>
  t.field({
    type: [ApiKeyRef],
    authScopes: { role: 'admin' },
    description:
      'All API keys that reach no further than yours, oldest first; those that have ended are kept for 90 days. For admins.',
    resolve: async (_root, _args, context) =>
      (await context.app.keys.list()).filter((key) => governs(context, key)),
  }),
);

const CreateApiKeyInput = builder.inputType('CreateApiKeyInput', {
  description: 'A new API key. All that is required is checked at once, so that a form can show all faults.',
  fields: (t) => ({
    name: t.string({ description: 'Required. A label for people, 1 to 100 characters.' }),
    role: t.field({ type: RoleEnum, description: 'Required. What it may do.' }),
    connections: t.intList({
      description: 'The numbers of the only connections that it reaches, 1 to 100; all when left out.',
    }),
    bases: t.stringList({
      description: 'The ids of the only bases that it reaches, 1 to 100; all when left out.',
    }),
    expiresAt: t.field({ type: 'DateTime', description: 'When it ends by itself; never when left out.' }),
  }),
});

const CreateApiKeySuccess = builder
  .objectRef<{ key: string; apiKey: ApiKey }>('CreateApiKeySuccess')
  .implement({
    description: 'The key was created. Keep it now: no other answer will hold it.',
    fields: (t) => ({
      key: t.exposeString('key', { description: 'Send it as `Authorization: Bearer …`.' }),
      apiKey: t.field({
        type: ApiKeyRef,
        description: 'What is kept of it here.',
        resolve: ({ apiKey }) => apiKey,
      }),
    }),
  });

builder.mutationField('createApiKey', (t) =>
  t.field({
    type: CreateApiKeySuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: CreateApiKeyInput, required: true, description: 'The new key.' }) },
    description: 'Creates an API key, which reaches no further than yours. For admins.',
    errors: { types: [InvalidInput, ConnectionNotFound] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const { app, caller } = context;
        const parsed = newApiKey(app.clock.now()).safeParse(input);
        if (!parsed.success) throw InvalidInput.fromZod(parsed.error);
        requireOwnReach(parsed.data, context);
        const issued = await app.keys.issue(parsed.data);
        app.logger.info({ keyId: issued.apiKey.id, by: caller.id }, 'API key created');
        return issued;
      }),
  }),
);

/** What is out of the caller's reach looks as if it did not exist, and leaving the reach out does not widen it. */
function requireOwnReach(wanted: NewApiKey, context: GraphQLContext): void {
  if (governs(context, wanted)) return;
  const { caller } = context;
  const hidden = wanted.connectionIds?.find((id) => !caller.sees(id));
  if (hidden !== undefined) throw connectionNotFound(hidden);
  const place = caller.covers(wanted.connectionIds, []) ? 'bases' : 'connections';
  throw new InvalidInput([
    {
      path: [place],
      message: `Your key reaches certain ${place} only: name those of them that the new key may use`,
    },
  ]);
}

const RevokeApiKeyInput = builder.inputType('RevokeApiKeyInput', {
  description: 'Which key to revoke.',
  fields: (t) => ({ id: t.int({ required: true, description: 'The number of the key.' }) }),
});

const RevokeApiKeySuccess = builder.objectRef<{ apiKey: ApiKey }>('RevokeApiKeySuccess').implement({
  description: 'The key opens nothing any more. Subscriptions that run under it end within five seconds.',
  fields: (t) => ({
    apiKey: t.field({
      type: ApiKeyRef,
      description: 'The key as it is now.',
      resolve: ({ apiKey }) => apiKey,
    }),
  }),
});

builder.mutationField('revokeApiKey', (t) =>
  t.field({
    type: RevokeApiKeySuccess,
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: RevokeApiKeyInput, required: true, description: 'Which key.' }) },
    description:
      'Ends an API key for good; revoking it again changes nothing. The configured admin key is refused. For admins.',
    errors: { types: [ApiKeyNotFound, ApiKeyConfigured] },
    resolve: (_root, { input: { id } }, context) =>
      withTypedErrors(async () => {
        const { app, caller } = context;
        if (!governs(context, await app.keys.get(id))) throw apiKeyNotFound(id);
        const apiKey = await app.keys.revoke(id);
        app.logger.info({ keyId: id, by: caller.id }, 'API key revoked');
        return { apiKey };
      }),
  }),
);
