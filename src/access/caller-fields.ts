import { builder } from '../graphql/builder.ts';
import type { Caller } from './caller.ts';
import { RoleEnum } from './schema.ts';

const CallerRef = builder.objectRef<Caller>('Caller').implement({
  description: 'Who is calling: an API key, or a person with a token of the identity provider.',
  fields: (t) => ({
    id: t.exposeString('id', {
      description: 'Stays the same: `key:7` for the API key 7, `user:…` with the subject of a token.',
    }),
    name: t.exposeString('name', {
      description: 'For people: the label of the key; the name or e-mail address of the person.',
    }),
    role: t.field({
      type: RoleEnum,
      description: 'What you may do. Show by it which buttons make sense; the server checks in any case.',
      resolve: ({ role }) => role,
    }),
    connectionIds: t.field({
      type: ['Int'],
      nullable: true,
      description: 'The only connections that you reach; null for all.',
      resolve: ({ connectionIds }) => connectionIds,
    }),
    baseIds: t.field({
      type: ['String'],
      nullable: true,
      description: 'The only bases that you reach; null for all.',
      resolve: ({ baseIds }) => baseIds,
    }),
    expiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When your key or token ends by itself; null for never. Subscriptions end then, and WebSockets are closed: fetch a new token before.',
      resolve: ({ expiresAt }) => expiresAt,
    }),
  }),
});

builder.queryField('caller', (t) =>
  t.field({
    type: CallerRef,
    description: 'Who you are to this server, and what you may do. Costs no upstream call.',
    resolve: (_root, _args, { caller }) => caller,
  }),
);
