import { builder } from '../graphql/builder.ts';
import type { ConnectionChange } from './connection-changes.ts';
import { connectionId } from './connection-input.ts';
import { ConnectionRef, visibleConnection } from './schema.ts';

const ConnectionChangeKindEnum = builder.enumType('ConnectionChangeKind', {
  description: 'What became of a connection.',
  values: {
    PRESENT: {
      value: 'present',
      description: 'Nothing yet: how it stands at the beginning of the subscription.',
    },
    CREATED: { value: 'created', description: 'It was created.' },
    UPDATED: {
      value: 'updated',
      description: 'Something that it shows has changed; joined with what changed right after it.',
    },
    DELETED: { value: 'deleted', description: 'It was deleted.' },
  } as const,
});

const ConnectionChangeRef = builder.objectRef<ConnectionChange>('ConnectionChange').implement({
  description: 'How a connection stands now.',
  fields: (t) => ({
    kind: t.field({
      type: ConnectionChangeKindEnum,
      description: 'What became of it.',
      resolve: (change) => change.kind,
    }),
    connectionId: t.exposeInt('connectionId', { description: 'The number of the connection.' }),
    connection: t.field({
      type: ConnectionRef,
      nullable: true,
      description: 'The connection as it is now; null when it was deleted.',
      resolve: (change) => change.connection,
    }),
  }),
});

builder.subscriptionField('connectionChanges', (t) =>
  t.field({
    type: ConnectionChangeRef,
    args: {
      connection: t.arg.int({
        description: 'Only this connection. All that your key may see by default.',
        validate: { schema: connectionId },
      }),
    },
    description:
      'Tells how connections stand, first each as it is now, then whenever one changes, on whichever instance. A client that was away simply subscribes again: there is nothing to resume.',
    subscribe: async (_root, { connection }, context) => {
      if (connection != null) await visibleConnection(connection, context);
      return context.app.connectionChanges.subscribe(
        (id) => context.caller.sees(id) && (connection == null || id === connection),
      );
    },
    resolve: (change) => change,
  }),
);
