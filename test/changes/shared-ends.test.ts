import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import type { Position } from '../../src/changes/position.ts';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { EventStream } from './event-stream.ts';
import { Subscriber, until } from './subscriber.ts';
import { addContacts, crm, ledger, ledgerEnd, told } from './upstream-edits.ts';

let app: TestApp;
let connection: number;
/** A field that nobody has read the schema without. */
let fieldId: string;
let open: Subscriber[] = [];

beforeAll(async () => {
  app = await startTestApp();
  const mood = { tableId: crm.tableId, name: 'Mood', type: 'singleLineText' };
  ({ fieldId } = await editSchema({ addField: mood }));
  connection = await app.connect();
});
afterAll(() => app.close());
afterEach(async () => {
  await Promise.all(open.map((subscriber) => subscriber.cut()));
  open = [];
});

function editSchema(what: object): Promise<{ fieldId: string }> {
  return control(app.sandbox.url, 'schema', { baseId: crm.baseId, ...what });
}

interface Listener {
  at?: TestApp;
  key?: string;
  connection?: number;
  after?: string | undefined;
  filter?: object;
}

/** Somebody who shares with all who want the same. */
function listen({ at = app, key = app.adminKey, filter, ...place }: Listener = {}): Subscriber {
  const narrowed = filter && { filter, tableId: crm.tableId };
  const variables = { connection, baseId: crm.baseId, ...narrowed, ...place };
  const subscriber = new Subscriber({ ...at, adminKey: key }, variables);
  open.push(subscriber);
  return subscriber;
}

async function listeners(count: number, how: Listener = {}): Promise<Subscriber[]> {
  return Promise.all(Array.from({ length: count }, () => listen(how).started()));
}

it('closes the sockets of a key that was revoked with 4403, and tells the rest of the group on', async () => {
  const { data } = await app.graphql(
    'mutation { createApiKey(input: { name: "ending", role: ADMIN }) { ... on CreateApiKeySuccess { key apiKey { id } } } }',
  );
  const { key, apiKey } = data.createApiKey;
  const ending = await listeners(3, { key });
  const staying = await listeners(2);
  await app.graphql(`mutation { revokeApiKey(input: { id: ${apiKey.id} }) { __typename } }`);
  await until(() => ending.every(({ ended }) => ended), 5_000);
  expect(ending.map(({ closeCode }) => closeCode)).toEqual([4403, 4403, 4403]);
  await addContacts(app, 1);
  await until(() => staying.every(({ changes }) => changes.length === 1));
  expect(ending.flatMap(({ changes }) => changes)).toEqual([]);
});

it('ends an outdated filter also for whom the change of the schema is more than it can take at once', async () => {
  const document = `subscription ($connection: Int!, $baseId: String!, $tableId: String!, $filter: RecordFilter!) {
    recordChanges(connection: $connection, baseId: $baseId, tableId: $tableId, filter: $filter) {
      __typename ... on RecordChange { recordId } ... on SchemaChange { edits { previous } }
    }
  }`;
  const filter = { not: { field: 'Mood', eq: 'good' } };
  const variables = { connection, baseId: crm.baseId, tableId: crm.tableId, filter };
  const streams = [1, 2].map(() => new EventStream(app, document, variables));
  await Promise.all(streams.map((stream) => stream.started()));
  await addContacts(app, 1);
  await until(() => streams.every(({ changes }) => changes.length === 1));
  const previous = { name: 'x'.repeat(100_000) };
  const change = { kind: 'fieldDeleted', tableId: crm.tableId, fieldId, current: null, previous };
  const [appended] = await app.database.query(
    `INSERT INTO changes (feed_id, generation, payload, ordinal, kind, occurred_at, source, detail)
     SELECT feed_id, generation, payload, ordinal + 1, 'schema', now(), 'client', $1 FROM changes
     ORDER BY generation DESC, payload DESC, ordinal DESC LIMIT 1 RETURNING feed_id, generation, payload, ordinal`,
    [{ changes: [change] }],
  );
  const { feed_id: feedId, ...position } = appended as unknown as { feed_id: number } & Position;
  app.app.changeFeeds.ring(feedId, position);
  await until(() => streams.every(({ end }) => end !== null), 5_000);
  for (const { events, results } of streams) {
    expect(events.at(-1)?.__typename).toBe('SchemaChange');
    expect(results.at(-1)?.errors?.map(({ extensions }) => extensions.code)).toEqual(['FILTER_OUTDATED']);
  }
});

it('ends a group whose filter is outdated behind the change of the schema, also for who is still catching up', async () => {
  const filter = { not: { field: 'Mood', eq: 'good' } };
  const [first] = await listeners(1, { filter });
  const ids = await addContacts(app, 30);
  await until(() => first?.changes.length === ids.length);
  const live = await listeners(2, { filter });
  // They are let in with the field still there, and read what is long past while it goes.
  const behind = Array.from({ length: 5 }, () => listen({ filter, after: first?.events[0]?.cursor }));
  await until(() => behind.every(({ events }) => events.length > 0));
  await editSchema({ removeField: { tableId: crm.tableId, fieldId } });
  await until(() => open.every(({ ended }) => ended));
  for (const { errors, events } of open) {
    expect(errors.map(({ extensions }) => extensions?.code)).toEqual(['FILTER_OUTDATED']);
    expect(events.at(-1)?.__typename).toBe('SchemaChange');
  }
  expect(live.flatMap(({ changes }) => changes)).toEqual([]);
  for (const { changes } of behind) expect(told(changes)).toEqual(ids.map((id) => `created ${id}`));
});

it('tells all of a group that their connection was disconnected, and lets those of another go on', async () => {
  const other = await app.connect();
  const ending = await listeners(3, { connection: other });
  const staying = await listeners(2);
  await app.graphql(`mutation { disconnectConnection(input: { connection: ${other} }) { __typename } }`);
  await until(() => ending.every(({ ended }) => ended));
  for (const { errors } of ending)
    expect(errors.map(({ extensions }) => extensions?.code)).toEqual(['CONNECTION_NOT_CONNECTED']);
  await addContacts(app, 1);
  await until(() => staying.every(({ changes }) => changes.length === 1));
});

it('sends a group away with 1012 when its server stops, live or catching up, and misses nothing elsewhere', async () => {
  const stopping = await app.another();
  const start = await ledgerEnd(app);
  const live = await listeners(3, { at: stopping });
  await addContacts(app, 20);
  const behind = Array.from({ length: 3 }, () => listen({ at: stopping, after: live[0]?.events[0]?.cursor }));
  await until(() => behind.every(({ events }) => events.length > 0));
  const all = [...live, ...behind];
  await stopping.close();
  await until(() => all.every(({ ended }) => ended));
  expect(all.map(({ closeCode }) => closeCode)).toEqual(all.map(() => 1012));
  const expected = await ledger(app, start);
  const resumed = await Promise.all(all.map(({ cursor }) => listen({ after: cursor }).started()));
  await until(() =>
    all.every(({ changes }, index) => changes.length + resumed[index]!.changes.length >= expected.length),
  );
  for (const [index, { changes }] of all.entries())
    expect([...told(changes), ...told(resumed[index]!.changes)]).toEqual(expected);
});
