import { ApolloClient, ApolloLink, gql, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { cacheExchange, Client as UrqlClient, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { CuttableProxy } from '../support/cuttable-proxy.ts';

const subscription = `
  subscription ($connection: Int!, $after: Cursor) {
    recordChanges(connection: $connection, baseId: "appABC123", tableId: "tblDEF456", after: $after) {
      __typename
      ... on FeedPosition { cursor }
      ... on RecordChange { cursor kind recordId }
      ... on ChangesLost { cursor reason }
    }
  }`;

interface Event {
  __typename: string;
  cursor: string;
  kind?: string;
  recordId?: string;
}

interface Subscriber {
  /** @returns what ends the subscription. */
  subscribe(
    variables: { connection: number; after: string | null },
    onEvent: (event: Event) => void,
  ): () => void;
  dispose(): void | Promise<void>;
}

type Answer = { data?: { recordChanges: Event } | null; hasNext?: boolean } | undefined;
const ignore = () => undefined;

function wsClient(url: string, key: string) {
  return createWsClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${key}` },
    // The test subscribes again by itself, with its cursor.
    retryAttempts: 0,
  });
}

const subscribers: [string, (url: string, key: string) => Subscriber][] = [
  [
    'graphql-ws',
    (url, key) => {
      const client = wsClient(url, key);
      return {
        subscribe: (variables, onEvent) =>
          client.subscribe<{ recordChanges: Event }>(
            { query: subscription, variables },
            { next: ({ data }) => data && onEvent(data.recordChanges), error: ignore, complete: ignore },
          ),
        dispose: () => client.dispose(),
      };
    },
  ],
  [
    'graphql-sse',
    (url, key) => {
      const client = createSseClient({
        url: `${url}/graphql`,
        headers: { authorization: `Bearer ${key}` },
        retryAttempts: 0,
      });
      return {
        subscribe: (variables, onEvent) =>
          client.subscribe<{ recordChanges: Event }>(
            { query: subscription, variables },
            { next: ({ data }) => data && onEvent(data.recordChanges), error: ignore, complete: ignore },
          ),
        dispose: () => client.dispose(),
      };
    },
  ],
  [
    'urql',
    (url, key) => {
      const sockets = wsClient(url, key);
      const client = new UrqlClient({
        url: `${url}/graphql`,
        preferGetMethod: false,
        fetchOptions: { headers: { authorization: `Bearer ${key}` } },
        exchanges: [
          cacheExchange,
          fetchExchange,
          subscriptionExchange({
            forwardSubscription: ({ query, variables }) => ({
              subscribe: (sink) => ({
                unsubscribe: sockets.subscribe(
                  { query: query ?? '', variables },
                  {
                    next: (result) => sink.next(result as never),
                    error: (error) => sink.error(error),
                    complete: () => sink.complete(),
                  },
                ),
              }),
            }),
          }),
        ],
      });
      return {
        subscribe: (variables, onEvent) => {
          const { unsubscribe } = client.subscription(subscription, variables).subscribe((result: Answer) => {
            // At its end urql gives the last result once more.
            if (result?.data && result.hasNext !== false) onEvent(result.data.recordChanges);
          });
          return unsubscribe;
        },
        dispose: () => sockets.dispose(),
      };
    },
  ],
  [
    'Apollo Client',
    (url, key) => {
      const sockets = wsClient(url, key);
      const client = new ApolloClient({
        link: ApolloLink.from([new GraphQLWsLink(sockets)]),
        cache: new InMemoryCache(),
      });
      return {
        subscribe: (variables, onEvent) => {
          const observed = client.subscribe<{ recordChanges: Event }>({
            query: gql(subscription),
            variables,
            fetchPolicy: 'no-cache',
          });
          const running = observed.subscribe({
            next: ({ data }) => data && onEvent(data.recordChanges),
            error: ignore,
          });
          return () => running.unsubscribe();
        },
        dispose: async () => {
          client.stop();
          await sockets.dispose();
        },
      };
    },
  ],
];

describe('subscription clients that we did not write', () => {
  let app: TestApp;
  let connection: number;
  beforeAll(async () => {
    app = await startTestApp();
    connection = await app.connect();
  });
  afterAll(() => app.close());

  async function createContact(name: string): Promise<void> {
    const { errors } = await app.graphql(
      `mutation ($connection: Int!, $fields: JSON!) {
        createRecords(input: { connection: $connection, baseId: "appABC123", tableId: "tblDEF456", records: [{ fields: $fields }] }) { __typename }
      }`,
      { connection, fields: { Name: name } },
    );
    expect(errors).toBeUndefined();
  }

  async function ledger() {
    const { changes } = await control<{ changes: { tableId: string; recordId: string; kind: string }[] }>(
      app.sandbox.url,
      'changes',
    );
    return changes.filter(({ tableId }) => tableId === 'tblDEF456');
  }

  test.each(subscribers)(
    '%s gets three changes, is cut off, comes back with its cursor, and has what the ledger has',
    async (_name, create) => {
      const proxy = await CuttableProxy.before(app.server.port);
      const events: Event[] = [];
      const changes = () => events.filter((event) => event.__typename === 'RecordChange');
      const before = (await ledger()).length;

      const first = create(proxy.url, app.adminKey);
      const stop = first.subscribe({ connection, after: null }, (event) => events.push(event));
      await until(() => events.length > 0);
      for (const name of ['One', 'Two', 'Three']) await createContact(name);
      await until(() => changes().length === 3);

      proxy.cut();
      await createContact('Four, while nobody listens');
      stop();
      await first.dispose();
      proxy.restore();

      const second = create(proxy.url, app.adminKey);
      const after = events.at(-1)?.cursor ?? null;
      second.subscribe({ connection, after }, (event) => events.push(event));
      await createContact('Five');
      await until(() => changes().length >= 5);
      await second.dispose();
      await proxy.close();

      const expected = (await ledger())
        .slice(before)
        .map(({ recordId, kind }) => ({ recordId, kind: kind.toUpperCase() }));
      expect(expected).toHaveLength(5);
      expect(changes().map(({ recordId, kind }) => ({ recordId, kind }))).toEqual(expected);
      expect(events.some((event) => event.__typename === 'ChangesLost')).toBe(false);
    },
  );
});

async function until(condition: () => boolean, withinMs = 15_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!condition()) {
    if (Date.now() > deadline)
      throw new Error(`It did not come true within ${withinMs} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
