import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { disconnect, grantAgain, otherBase } from '../webhooks/operations.ts';
import { Subscriber, until } from './subscriber.ts';
import { addContacts, crm, edit, ledger, ledgerEnd, told } from './upstream-edits.ts';

let app: TestApp;
let connection: number;
let start: number;
let open: Subscriber[] = [];

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterAll(() => app.close());
beforeEach(async () => {
  start = await ledgerEnd(app);
});
afterEach(async () => {
  await Promise.all(open.map((subscriber) => subscriber.cut()));
  open = [];
});

function subscribe(variables: object = {}, text?: string): Subscriber {
  const subscriber = new Subscriber(app, { connection, baseId: crm.baseId, ...variables }, text);
  open.push(subscriber);
  return subscriber;
}

it('tells its position first and then every change that the ledger has', async () => {
  const subscriber = await subscribe().started();
  expect(subscriber.events[0]?.__typename).toBe('FeedPosition');
  const [first = '', second = ''] = await addContacts(app, 2);
  await edit(app, { update: [{ id: first, fields: { Name: 'Renamed' } }], destroy: [second] });
  await until(async () => subscriber.changes.length >= (await ledger(app, start)).length);
  expect(told(subscriber.changes).sort()).toEqual((await ledger(app, start)).sort());
  const update = subscriber.changes.find(({ kind, recordId }) => kind === 'UPDATED' && recordId === first);
  expect(update?.fields).toContainEqual(expect.objectContaining({ name: 'Name', current: 'Renamed' }));
  expect(subscriber.changes.find(({ kind }) => kind === 'DELETED')).toMatchObject({
    recordId: second,
    fields: [],
    tableId: crm.tableId,
  });
});

it('goes on with a cursor, with nothing missing and nothing twice', async () => {
  const heard: string[] = [];
  let cursor: string | undefined;
  for (let round = 0; round < 4; round += 1) {
    const subscriber = subscribe(cursor === undefined ? {} : { after: cursor });
    await subscriber.started();
    await addContacts(app, 3);
    // Cut in the middle of what is being told, after at least one.
    const before = subscriber.changes.length;
    await until(() => subscriber.changes.length > before || round === 3);
    if (round === 3)
      await until(async () => heard.length + subscriber.changes.length >= (await ledger(app, start)).length);
    await subscriber.cut();
    heard.push(...told(subscriber.changes));
    cursor = subscriber.cursor;
    if (round < 3) await addContacts(app, 2);
  }
  expect(heard).toEqual(await ledger(app, start));
});

it('gives the record as the change left it without an upstream call, and the live one with one', async () => {
  const [id = ''] = await addContacts(app, 1);
  const logged = `subscription ($connection: Int!, $baseId: String!) {
    recordChanges(connection: $connection, baseId: $baseId, kinds: [UPDATED]) { __typename ... on FeedPosition { cursor } ... on RecordChange { cursor kind recordId record { id text(field: "Name") } } }
  }`;
  const live = logged.replace('record {', 'liveRecord {');
  const [fromLog, fromUpstream] = await Promise.all([
    subscribe({}, logged).started(),
    subscribe({}, live).started(),
  ]);
  await control(app.sandbox.url, 'limits', { latencyMs: 0 });
  const before = await control<{ byEndpoint: Record<string, number> }>(app.sandbox.url, 'calls');
  await edit(app, { update: [{ id, fields: { Name: 'First' } }] });
  await until(() => fromLog.changes.length === 1 && fromUpstream.changes.length === 1);
  expect(fromLog.changes[0]).toMatchObject({ record: { id, text: 'First' } });
  expect(fromUpstream.changes[0]).toMatchObject({ liveRecord: { id, text: 'First' } });
  const after = await control<{ byEndpoint: Record<string, number> }>(app.sandbox.url, 'calls');
  expect((after.byEndpoint.listRecords ?? 0) - (before.byEndpoint.listRecords ?? 0)).toBe(1);
});

it('keeps to its filters', async () => {
  const [watched = '', other = ''] = await addContacts(app, 2);
  const [byRecord, byKind, byField, byTable] = await Promise.all([
    subscribe({ recordIds: [watched], kinds: ['UPDATED'] }).started(),
    subscribe({ kinds: ['DELETED'] }).started(),
    subscribe({ fields: ['Email'], kinds: ['UPDATED'] }).started(),
    subscribe({ tableId: 'Companies' }).started(),
  ]);
  await edit(app, {
    update: [
      { id: watched, fields: { Name: 'A' } },
      { id: other, fields: { Email: 'b@example.com' } },
    ],
  });
  await edit(app, { destroy: [other] });
  await edit(app, { tableId: 'Companies', create: [{ fields: { Name: 'Company' } }] });
  await until(() => byTable.changes.length === 1 && byKind.changes.length === 1);
  expect(told(byRecord.changes)).toEqual([`updated ${watched}`]);
  expect(told(byKind.changes)).toEqual([`deleted ${other}`]);
  expect(told(byField.changes)).toEqual([`updated ${other}`]);
  expect(byTable.changes[0]?.kind).toBe('CREATED');
});

it('refuses cursors of another base and ones that nobody gave out', async () => {
  const subscriber = await subscribe().started();
  const another = await otherBase(app, connection);
  for (const variables of [{ baseId: another, after: subscriber.cursor }, { after: 'bm9uc2Vuc2U' }]) {
    const refused = subscribe(variables);
    await until(() => refused.errors.length > 0);
    expect(refused.errors[0]?.extensions?.code).toBe('CURSOR_INVALID');
  }
});

it('ends with CONNECTION_NOT_CONNECTED when the connection is disconnected, on any instance', async () => {
  const other = await app.connect();
  const instance = await app.another();
  try {
    const subscriber = new Subscriber(instance, { connection: other, baseId: crm.baseId });
    const staying = subscribe();
    await Promise.all([subscriber.started(), staying.started()]);
    await disconnect(app, other);
    await until(() => subscriber.ended);
    expect(subscriber.errors[0]?.extensions?.code).toBe('CONNECTION_NOT_CONNECTED');
    await addContacts(app, 1);
    await until(() => staying.changes.length === 1);
    await subscriber.cut();
  } finally {
    await instance.close();
  }
});

it('stays open while its connection is in the state ERROR, and tells what changes after it is connected again', async () => {
  const [lost, ending] = [await app.connect(), await app.connect()];
  const staying = await new Subscriber(app, { connection: lost, baseId: crm.baseId }).started();
  const canary = await new Subscriber(app, { connection: ending, baseId: crm.baseId }).started();
  await app.database.query(
    `UPDATE connection_secrets SET access_token = 'v1.gone.AAAA.AAAA' WHERE connection_id = $1`,
    [lost],
  );
  await app.graphql('mutation ($id: Int!) { testConnection(input: { connection: $id }) { __typename } }', {
    id: lost,
  });
  expect(await app.database.query('SELECT state FROM connections WHERE id = $1', [lost])).toEqual([
    { state: 'error' },
  ]);
  // Whoever notices that one has ended has looked at the other as well.
  await disconnect(app, ending);
  await until(() => canary.ended);
  expect([staying.ended, staying.errors]).toEqual([false, []]);

  await grantAgain(app, lost, ['all']);
  const [added] = await addContacts(app, 1);
  await until(() => staying.changes.some(({ recordId }) => recordId === added));
  await Promise.all([staying.cut(), canary.cut()]);
});
