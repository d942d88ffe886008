import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { startTestApp, type TestApp } from '../support/app.ts';
import { Subscriber, until } from './subscriber.ts';
import { addContacts, countCalls, crm, edit, told } from './upstream-edits.ts';

let app: TestApp;
let connection: number;

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterAll(() => app.close());

const live = `subscription ($connection: Int!, $baseId: String!, $after: Cursor) {
  recordChanges(connection: $connection, baseId: $baseId, after: $after) {
    __typename ... on FeedPosition { cursor } ... on RecordChange { cursor kind recordId liveRecord { id } }
  }
}`;

/** The same over server-sent events, with headers of the operation's own. */
function listen(query: string, variables: object, headers: Record<string, string>, signal: AbortSignal) {
  return fetch(`${app.url}/graphql`, {
    method: 'POST',
    signal,
    headers: {
      authorization: `Bearer ${app.adminKey}`,
      'content-type': 'application/json',
      accept: 'text/event-stream',
      ...headers,
    },
    body: JSON.stringify({ query, variables: { connection, baseId: crm.baseId, ...variables } }),
  });
}

it('fetches live records of events that are there already a hundred at a time', async () => {
  const before = await new Subscriber(app, { connection, baseId: crm.baseId }).started();
  const ids = await addContacts(app, 150);
  await until(() => before.changes.length === 150);
  await before.cut();
  const calls = await countCalls(app, 'listRecords');
  const subscriber = new Subscriber(
    app,
    { connection, baseId: crm.baseId, after: before.events[0]?.cursor },
    live,
  );
  await until(() => subscriber.changes.length === 150);
  expect((await countCalls(app, 'listRecords')) - calls).toBe(2);
  expect(told(subscriber.changes)).toEqual(ids.map((id) => `created ${id}`));
  expect(subscriber.changes).toMatchObject(ids.map((id) => ({ liveRecord: { id } })));
  await subscriber.cut();
});

it('holds the events of a stream to the cap on calls, and names the request in their errors', async () => {
  const before = await new Subscriber(app, { connection, baseId: crm.baseId }).started();
  await addContacts(app, 1);
  await until(() => before.changes.length === 1);
  await before.cut();
  const leaving = new AbortController();
  const answer = await listen(
    live,
    { after: before.events[0]?.cursor },
    { 'x-upstream-max-calls': '0' },
    leaving.signal,
  );
  let text = '';
  for await (const chunk of answer.body ?? []) {
    text += new TextDecoder().decode(chunk);
    if (text.includes('UPSTREAM_CALLS_EXCEEDED')) break;
  }
  leaving.abort();
  const [event = ''] = text.split('\n').filter((line) => line.includes('UPSTREAM_CALLS_EXCEEDED'));
  const { errors } = JSON.parse(event.slice('data: '.length)) as {
    errors: { path: string[]; extensions: Record<string, unknown> }[];
  };
  expect(errors[0]).toMatchObject({
    path: ['recordChanges', 'liveRecord'],
    extensions: { code: 'UPSTREAM_CALLS_EXCEEDED', requestId: answer.headers.get('x-request-id') },
  });
});

it('follows nothing for a client that left while its stream was being opened', async () => {
  await until(() => app.app.changeFeeds.followed.length === 0);
  const lock = new pg.Client({ connectionString: app.database.url });
  await lock.connect();
  try {
    await lock.query('BEGIN; LOCK TABLE changes IN ACCESS EXCLUSIVE MODE');
    const leaving = new AbortController();
    const left = listen(live, {}, {}, leaving.signal).catch(() => 'left');
    await until(() => app.app.changeFeeds.followed.length === 1);
    leaving.abort();
    expect(await left).toBe('left');
    // The server has seen the hang-up once it has answered somebody who came later.
    for (let round = 0; round < 3; round += 1) await app.graphql('{ __typename }');
    await lock.query('ROLLBACK');
  } finally {
    await lock.end();
  }
  await until(() => app.app.changeFeeds.followed.length === 0);
});

it('names a field that is not there, in one table or in all', async () => {
  const refused = new Subscriber(app, { connection, baseId: crm.baseId, fields: ['Emial'] });
  await until(() => refused.errors.length > 0);
  expect(refused.errors[0]).toMatchObject({
    message: expect.stringContaining('Did you mean "Email"?'),
    extensions: { code: 'FIELD_NOT_FOUND' },
  });
  const inTable = new Subscriber(app, {
    connection,
    baseId: crm.baseId,
    tableId: crm.tableId,
    fields: ['Emial'],
  });
  await until(() => inTable.errors.length > 0);
  expect(inTable.errors[0]?.extensions?.code).toBe('FIELD_NOT_FOUND');
  await Promise.all([refused.cut(), inTable.cut()]);
});

it("pages through a record's history, from the newest change to the oldest", async () => {
  const [id = ''] = await addContacts(app, 1);
  for (const Name of ['A', 'B', 'C']) await edit(app, { update: [{ id, fields: { Name } }] });
  interface Page {
    record: {
      changes: { nodes: { kind: string }[]; pageInfo: { endCursor: string; hasNextPage: boolean } };
    };
  }
  const page = async (after: string | null, first: number) => {
    const { data } = await app.graphql<Page>(
      `query ($connection: Int!, $baseId: String!, $tableId: String!, $id: String!, $after: Cursor, $first: Int) {
        record(connection: $connection, baseId: $baseId, tableId: $tableId, recordId: $id) {
          changes(after: $after, first: $first) { nodes { kind fields { current } } pageInfo { endCursor hasNextPage } }
        }
      }`,
      { connection, ...crm, id, after, first },
    );
    return data?.record.changes;
  };
  await until(async () => (await page(null, 10))?.nodes.length === 4);
  const all = await page(null, 10);
  expect(all?.nodes.at(-1)?.kind).toBe('CREATED');
  const first = await page(null, 3);
  expect(first?.pageInfo.hasNextPage).toBe(true);
  const rest = await page(first?.pageInfo.endCursor ?? null, 3);
  expect([...(first?.nodes ?? []), ...(rest?.nodes ?? [])]).toEqual(all?.nodes);
  expect(rest?.pageInfo.hasNextPage).toBe(false);
});
