import SchemaBuilder from '@pothos/core';
import DataloaderPlugin from '@pothos/plugin-dataloader';
import ErrorsPlugin from '@pothos/plugin-errors';
import RelayPlugin from '@pothos/plugin-relay';
import ScopeAuthPlugin from '@pothos/plugin-scope-auth';
import ZodPlugin from '@pothos/plugin-zod';
import type { Role } from '../access/caller.ts';
import { AppError } from '../errors.ts';
import type { GraphQLContext } from './context.ts';
import { InvalidInput } from './invalid-input.ts';

/**
 * The plugins wrap resolvers from the outside in: who may call, then errors that become union members, then
 * validation (whose errors are such members), then the resolver.
 */
export const builder = new SchemaBuilder<{
  Context: GraphQLContext;
  DefaultFieldNullability: false;
  AuthScopes: { role: Role };
  Scalars: {
    DateTime: { Input: Date; Output: Date | string };
    JSON: { Input: unknown; Output: unknown };
    Duration: { Input: string; Output: string };
    Cursor: { Input: string; Output: string };
    FilterValue: { Input: string | number | boolean; Output: string | number | boolean };
    ID: { Input: string; Output: string | number };
  };
}>({
  plugins: [ScopeAuthPlugin, ErrorsPlugin, ZodPlugin, RelayPlugin, DataloaderPlugin],
  defaultFieldNullability: false,
  scopeAuth: {
    authScopes: (context) => ({ role: (role) => context.caller.may(role) }),
    authorizeOnSubscribe: true,
    unauthorizedError: (_parent, context, info) =>
      new AppError(
        'FORBIDDEN',
        `Your key has the role ${context.caller.role}, which may not use ${info.fieldName}. Ask an admin for a key with a higher role.`,
        {
          details: { role: context.caller.role, field: info.fieldName },
        },
      ),
  },
  zod: {
    validationError: (error) => InvalidInput.fromZod(error),
  },
  errors: {
    defaultTypes: [],
    directResult: true,
    defaultUnionOptions: {
      name: ({ fieldName }) => `${fieldName.charAt(0).toUpperCase()}${fieldName.slice(1)}Result`,
      description: 'What came of it: the success, or one of the errors that a client should branch on.',
    },
  },
  relay: {
    idFieldName: 'nodeId',
    idFieldOptions: { description: "Relay's global id of this object. Pass it to `node` or `nodes`." },
    nodeQueryOptions: false,
    nodesQueryOptions: false,
    nodeTypeOptions: { description: 'Anything that can be fetched again by its global id.' },
    cursorType: 'String',
    pageInfoTypeOptions: { description: 'Where a page begins and ends. Pages are read forwards only.' },
    hasNextPageFieldOptions: { description: 'Whether more follow.' },
    hasPreviousPageFieldOptions: { description: 'Whether something lies before this page.' },
    startCursorFieldOptions: { description: 'The cursor of the first entry; null when the page is empty.' },
    endCursorFieldOptions: { description: 'Pass it as `after` to get the next page.' },
  },
});

builder.queryType({ description: 'Everything that can be read.' });
builder.mutationType({ description: 'Everything that can be changed. Each field takes one `input`.' });
builder.subscriptionType({
  description: 'What the server tells by itself, over graphql-ws or server-sent events on the same path.',
});
