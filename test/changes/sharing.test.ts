import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { startTestApp, type TestApp } from '../support/app.ts';
import { repeats } from '../support/repeats.ts';
import { EventStream } from './event-stream.ts';
import { Subscriber, until } from './subscriber.ts';
import { addContacts, countCalls, crm, ledger, ledgerEnd, told } from './upstream-edits.ts';

let app: TestApp;
let connection: number;
let open: Subscriber[] = [];
let executed: number;
let sent: number;

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterAll(() => app.close());
beforeEach(() => begin());
afterEach(async () => {
  await Promise.all(open.map((subscriber) => subscriber.cut()));
  open = [];
});

async function counted(name: string): Promise<number> {
  const line = new RegExp(`^omnera_calendly_subscription_events_${name}_total (\\d+)$`, 'm');
  return Number(line.exec(await app.app.metrics.text())?.[1]);
}

/** What is counted from here on. */
async function begin(): Promise<void> {
  [executed, sent] = [await counted('executed'), await counted('sent')];
}

async function rise(): Promise<{ executed: number; sent: number }> {
  return { executed: (await counted('executed')) - executed, sent: (await counted('sent')) - sent };
}

interface Listener {
  key?: string;
  variables?: object;
  text?: string;
}

/** Several who listen, once each has been told where it stands. */
async function listeners(count: number, { key, variables, text }: Listener = {}): Promise<Subscriber[]> {
  const from = key === undefined ? app : { ...app, adminKey: key };
  const made = Array.from(
    { length: count },
    () => new Subscriber(from, { connection, baseId: crm.baseId, ...variables }, text),
  );
  open.push(...made);
  return Promise.all(made.map((subscriber) => subscriber.started()));
}

async function makeKey(wishes: string): Promise<{ key: string; id: number }> {
  const { data, errors } = await app.graphql(
    `mutation { createApiKey(input: { name: "listener", ${wishes} }) { ... on CreateApiKeySuccess { key apiKey { id } } } }`,
  );
  if (!data) throw new Error(JSON.stringify(errors));
  return { key: data.createApiKey.key, id: data.createApiKey.apiKey.id };
}

const live = `subscription ($connection: Int!, $baseId: String!, $after: Cursor) {
  recordChanges(connection: $connection, baseId: $baseId, after: $after) {
    __typename ... on FeedPosition { cursor } ... on RecordChange { cursor kind recordId liveRecord { id } }
  }
}`;

it('executes an event once for all who are told the same, wherever they began', async () => {
  const [early] = await listeners(1);
  await addContacts(app, 3);
  await until(() => early?.changes.length === 3);
  const all = [
    ...open,
    ...(await listeners(45)),
    ...(await listeners(4, { variables: { after: early?.events[1]?.cursor } })),
  ];
  await until(() => all.slice(46).every(({ changes }) => changes.length === 2));
  await begin();
  const ids = await addContacts(app, 4);
  await until(() => all.every(({ changes }) => changes.at(-1)?.recordId === ids[3]));
  expect(await rise()).toEqual({ executed: 4, sent: 200 });
  expect(new Set(all.map(({ changes }) => told(changes.slice(-4)).join()))).toEqual(
    new Set([ids.map((id) => `created ${id}`).join()]),
  );
});

it('shares nothing between different rights, variables or documents, and executes once for each', async () => {
  const viewer = await makeKey('role: VIEWER');
  const narrow = await makeKey('role: VIEWER, bases: ["appABC123"]');
  await listeners(2);
  await listeners(2, { key: viewer.key });
  await listeners(2, { key: narrow.key });
  await listeners(2, { variables: { kinds: ['CREATED'] } });
  await listeners(2, { variables: { kinds: ['DELETED'] } });
  await listeners(2, { text: live.replace('liveRecord { id }', 'occurredAt') });
  await begin();
  const [id = ''] = await addContacts(app, 1);
  const concerned = open.filter((_, index) => index !== 8 && index !== 9);
  await until(() => concerned.every(({ changes }) => changes.length === 1));
  expect(await rise()).toEqual({ executed: 5, sent: 10 });
  expect(open.flatMap(({ changes }) => changes.map(({ recordId }) => recordId))).toEqual(
    concerned.map(() => id),
  );
});

it('asks the upstream once for a live record that many want', async () => {
  await listeners(20, { text: live });
  const before = await countCalls(app, 'listRecords');
  const [id] = await addContacts(app, 1);
  await until(() => open.every(({ changes }) => changes.length === 1));
  expect(open.every(({ changes }) => changes[0]?.recordId === id)).toBe(true);
  expect((await countCalls(app, 'listRecords')) - before).toBe(1);
});

it('names to each the request of its own in an error that all are told', async () => {
  const [first] = await listeners(1);
  await first?.cut();
  const headers = { 'x-upstream-max-calls': '0' };
  const variables = { connection, baseId: crm.baseId };
  const streams = Array.from({ length: 3 }, () => new EventStream(app, live, variables, headers));
  await Promise.all(streams.map((stream) => stream.started()));
  await begin();
  await addContacts(app, 1);
  type Shown = { code: string; requestId: string } | undefined;
  const errors = () => streams.map(({ results }) => results.at(-1)?.errors?.[0]?.extensions as Shown);
  await until(() => errors().every((shown) => shown !== undefined));
  expect(errors().map((shown) => shown?.code)).toEqual(streams.map(() => 'UPSTREAM_CALLS_EXCEEDED'));
  expect(new Set(errors().map((shown) => shown?.requestId)).size).toBe(3);
  expect(await rise()).toEqual({ executed: 1, sent: 3 });
  for (const stream of streams) stream.cut();
});

it('goes on telling the others when one of them leaves, or loses its key', async () => {
  const [leaving, ending] = [await makeKey('role: VIEWER'), await makeKey('role: VIEWER')];
  const [first, staying] = await listeners(2, { key: leaving.key });
  const [cut] = await listeners(1, { key: ending.key });
  await addContacts(app, 1);
  await until(() => open.every(({ changes }) => changes.length === 1));
  await first?.cut();
  await app.graphql(`mutation { revokeApiKey(input: { id: ${ending.id} }) { __typename } }`);
  await until(() => cut?.ended === true, 5_000);
  await begin();
  await addContacts(app, 1);
  await until(() => staying?.changes.length === 2);
  expect(await rise()).toEqual({ executed: 1, sent: 1 });
  expect([first?.changes.length, cut?.changes.length]).toEqual([1, 1]);
});

it('takes in whoever comes in the middle of many changes, with nothing missing and nothing twice', async () => {
  const start = await ledgerEnd(app);
  const [staying] = await listeners(1);
  const rounds = repeats({ suite: 40, long: 400 });
  let writing = true;
  const writes = addContacts(app, rounds * 5).finally(() => (writing = false));
  const heard: string[] = [];
  const joined: Subscriber[] = [];
  let after = staying?.cursor;
  for (let round = 0; writing && round < rounds; round += 1) {
    // One comes back again and again with its last cursor, another begins where the first did and stays.
    const [coming] = await listeners(1, { variables: { after } });
    if (round % 10 === 0)
      joined.push(...(await listeners(1, { variables: { after: staying?.events[0]?.cursor } })));
    const before = coming?.events.length ?? 0;
    await until(() => !writing || (coming?.events.length ?? 0) > before);
    await coming?.cut();
    heard.push(...told(coming?.changes ?? []));
    after = coming?.cursor;
  }
  await writes;
  const [last] = await listeners(1, { variables: { after } });
  const expected = await ledger(app, start);
  await until(() => [staying, ...joined].every((one) => (one?.changes.length ?? 0) >= expected.length));
  await until(() => heard.length + (last?.changes.length ?? 0) >= expected.length);
  for (const one of [staying, ...joined]) expect(told(one?.changes ?? [])).toEqual(expected);
  expect([...heard, ...told(last?.changes ?? [])]).toEqual(expected);
}, 60_000);
