import { setMaxListeners } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionArgs } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { createPubSub, createSchema, createYoga } from 'graphql-yoga';
import { WebSocketServer } from 'ws';
import { moment } from '../moment.ts';
import { answer } from './answers.ts';
import { memoryInUse } from './memory.ts';
import { serve } from './serve.ts';
import type { ToldChange } from '../fanout-event.ts';

const typeDefs = `
  scalar JSON
  type Query { _: Boolean }
  type Subscription { recordChanges(connection: Int!, baseId: String!): RecordChangeEvent! }
  union RecordChangeEvent = RecordChange | FeedPosition
  type FeedPosition { cursor: String! }
  type RecordChange {
    cursor: String! kind: String! recordId: String! occurredAt: String! fields: [FieldChange!]! record: Record
  }
  type FieldChange { name: String previous: JSON current: JSON }
  type Record { id: ID! text(field: String!): String }
`;

// All subscribers listen to one target, which Node would take for a leak.
setMaxListeners(0);
const pubSub = createPubSub<{ changes: [ToldChange] }>();
let subscribed = 0;
const maxUntaken = 4_096;

/** Yoga behind graphql-ws as both document it: one execution of each event for each subscriber, fed by Yoga's PubSub. */
serve(async () => {
  const schema = createSchema({
    typeDefs,
    resolvers: {
      Subscription: {
        recordChanges: {
          subscribe: () => {
            subscribed += 1;
            return pubSub.subscribe('changes');
          },
          resolve: (event: ToldChange) => event,
        },
      },
      RecordChangeEvent: { __resolveType: ({ __typename }: ToldChange) => __typename },
      Record: {
        text: (record: Record<string, unknown>, { field }: { field: string }) => record[field.toLowerCase()],
      },
    },
  });
  const yoga = createYoga({ schema });
  const http = createServer((request, response) => void yoga(request, response));
  const sockets = new WebSocketServer({ server: http, path: yoga.graphqlEndpoint });
  type Roots = { execute: (args: ExecutionArgs) => never; subscribe: (args: ExecutionArgs) => never };
  useServer(
    {
      execute: (args) => (args.rootValue as Roots).execute(args),
      subscribe: (args) => (args.rootValue as Roots).subscribe(args),
      async onSubscribe(context, _id, params) {
        const enveloped = yoga.getEnveloped({ ...context, req: context.extra.request, params });
        const { schema, execute, subscribe, contextFactory, parse, validate } = enveloped;
        const args = {
          schema,
          operationName: params.operationName,
          document: parse(params.query),
          variableValues: params.variables,
          contextValue: (await contextFactory()) as unknown,
          rootValue: { execute, subscribe },
        };
        const errors = validate(args.schema, args.document);
        return errors.length > 0 ? [...errors] : args;
      },
    },
    sockets,
  );
  // As many may wait to be taken as with ours.
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', maxUntaken, resolve));
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/graphql`, headers: {} };
});

answer({
  subscribed: () => subscribed,
  memory: memoryInUse,
  publish(given) {
    const { event } = given as { event: ToldChange };
    const at = moment();
    pubSub.publish('changes', event);
    return at;
  },
});
