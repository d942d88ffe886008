import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { control, startTestApp, type TestApp } from '../support/app.ts';

/** What runs under a key ends within this time after the key. */
const promisedMs = 5_000;

const document =
  'subscription ($id: Int!) { recordChanges(connection: $id, baseId: "appABC123") { __typename } }';

let app: TestApp;
let second: TestApp;
let id: number;
beforeAll(async () => {
  app = await startTestApp();
  second = await app.another();
  id = await app.connect();
});
afterAll(async () => {
  await second.close();
  await app.close();
});

/** A subscription over a WebSocket that has begun. */
async function overSocket(instance: TestApp, key: string) {
  const client = createClient({
    url: `${instance.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${key}` },
    retryAttempts: 0,
  });
  const closed = new Promise<number>((resolve) =>
    client.on('closed', (event) => resolve((event as { code: number }).code)),
  );
  let completed = false;
  await new Promise((resolve, reject) =>
    client.subscribe(
      { query: document, variables: { id } },
      { next: resolve, error: reject, complete: () => (completed = true) },
    ),
  );
  return { closed, isCompleted: () => completed, close: () => client.dispose() };
}

/** Hears that it is to close, and neither says so nor stops sending. */
class DeafSocket extends WebSocket {
  override close(code: number): void {
    this.emit('told', code);
  }
}

/** A socket of somebody who goes on after the goodbye, and may write. */
async function deafSocket(instance: TestApp, key: string) {
  const socket = new DeafSocket(`${instance.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const told = once(socket, 'told').then(([code]) => code as unknown);
  const cut = new Promise((resolve) => socket.once('close', resolve));
  await once(socket, 'open');
  const acknowledged = once(socket, 'message');
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } }));
  await acknowledged;
  const send = (message: object) =>
    new Promise<void>((resolve, reject) =>
      socket.send(JSON.stringify(message), (error) => (error ? reject(error) : resolve())),
    );
  return { told, cut, send };
}

const creation = (name: string) => ({
  query: 'mutation ($input: CreateRecordsInput!) { createRecords(input: $input) { __typename } }',
  variables: {
    input: {
      connection: id,
      baseId: 'appABC123',
      tableId: 'Contacts',
      records: [{ fields: { Name: name } }],
    },
  },
});

/** The same as server-sent events. */
async function asEvents(instance: TestApp, key: string) {
  const client = createSseClient({
    url: `${instance.url}/graphql`,
    headers: { authorization: `Bearer ${key}` },
    retryAttempts: 0,
  });
  const codes: unknown[] = [];
  let begun: (value: unknown) => void;
  const started = new Promise((resolve) => (begun = resolve));
  const ended = new Promise<unknown[]>((resolve, reject) =>
    client.subscribe(
      { query: document, variables: { id } },
      {
        next: ({ errors }) => {
          codes.push(...(errors ?? []).map((error) => error.extensions?.code));
          begun(null);
        },
        error: reject,
        complete: () => resolve(codes),
      },
    ),
  );
  await started;
  return { ended, close: () => client.dispose() };
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`Not within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

describe.each([
  [
    'revoked',
    async (keyId: number) => {
      const { data } = await app.graphql(
        'mutation ($id: Int!) { revokeApiKey(input: { id: $id }) { __typename } }',
        { id: keyId },
      );
      expect(data.revokeApiKey.__typename).toBe('RevokeApiKeySuccess');
    },
  ],
  [
    'expired',
    (keyId: number) => app.database.query('UPDATE api_keys SET expires_at = now() WHERE id = $1', [keyId]),
  ],
])('subscriptions of a key that was %s', (_how, end) => {
  test('end within five seconds on every instance; those of other keys go on', async () => {
    const make = (name: string) =>
      app.app.keys.issue({ name, role: 'viewer', connectionIds: null, baseIds: null, expiresAt: null });
    const [ending, staying] = [await make('Ending'), await make('Staying')];
    const instances = [app, second];
    const sockets = await Promise.all(instances.map((instance) => overSocket(instance, ending.key)));
    const streams = await Promise.all(instances.map((instance) => asEvents(instance, ending.key)));
    const others = await Promise.all(instances.map((instance) => overSocket(instance, staying.key)));
    let otherClosed = false;
    for (const other of others) void other.closed.then(() => (otherClosed = true));

    await end(ending.apiKey.id);
    const codes = within(Promise.all(sockets.map(({ closed }) => closed)), promisedMs);
    const told = within(Promise.all(streams.map(({ ended }) => ended)), promisedMs);
    expect(await codes).toEqual([4403, 4403]);
    expect(await told).toEqual([['UNAUTHENTICATED'], ['UNAUTHENTICATED']]);
    expect(otherClosed).toBe(false);
    for (const one of [...sockets, ...streams, ...others]) await one.close();
  }, 30_000);
});

/** The cut comes two seconds later: it is looked at below, when those have passed. */
let deaf: Promise<unknown> | undefined;

test('nothing is run that comes after the goodbye, from a peer that does not answer it', async () => {
  const { key, apiKey } = await app.app.keys.issue({
    name: 'Deaf',
    role: 'editor',
    connectionIds: null,
    baseIds: null,
    expiresAt: null,
  });
  const socket = await deafSocket(app, key);
  await app.app.keys.revoke(apiKey.id);
  expect(await within(socket.told, promisedMs)).toBe(4403);
  await socket.send({ id: '1', type: 'subscribe', payload: creation('After the end') });
  // One that comes later has been written by the time the one before it would have been.
  const { query, variables } = creation('By somebody else');
  expect((await app.graphql(query, variables)).errors).toBeUndefined();
  const { writes } = await control<{ writes: object[] }>(app.sandbox.url, 'writes');
  expect(writes).toHaveLength(1);
  deaf = socket.cut;
});

test('many subscriptions of many keys cost one look at the database every two seconds', async () => {
  const keys = await Promise.all(['A', 'B', 'C'].map((name) => app.app.keys.create(name, 'viewer')));
  const running = await Promise.all(keys.flatMap((key) => [overSocket(app, key), asEvents(app, key)]));
  const looks: unknown[] = [];
  const query = app.app.database.query.bind(app.app.database);
  app.app.database.query = ((text: string, params?: unknown[]) => {
    if (text.includes('api_keys') && text.includes('ANY($1)')) looks.push(params?.[0]);
    return query(text, params);
  }) as typeof query;
  try {
    const ids = await app.database.query(`SELECT id FROM api_keys WHERE name IN ('A', 'B', 'C')`);
    while (looks.length < 2) await new Promise((resolve) => setImmediate(resolve));
    for (const look of looks.slice(0, 2))
      expect(new Set(look as number[])).toEqual(new Set(ids.map((row) => row.id)));
  } finally {
    app.app.database.query = query;
    for (const one of running) await one.close();
  }
});

test('a peer that does not answer the goodbye is cut', async () => {
  expect(deaf).toBeDefined();
  await within(deaf ?? Promise.resolve(), promisedMs);
});
