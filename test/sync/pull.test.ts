import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { control, startTestApp, type TestApp, type UntypedData } from '../support/app.ts';
import { grantToken } from '../support/sandbox-grant.ts';
import { createSync, crm, edit, expectEqual, mutate, readSync, settled, until } from './sync-app.ts';

let app: TestApp;
let connection: number;
/** Made and filled by the first test, and what the others do with it. */
let contacts: UntypedData;
/** A small table. */
let people: string;

beforeAll(async () => {
  app = await startTestApp({ lookEveryMs: 50 });
  const text = (name: string) => ({ name, type: 'singleLineText' });
  const vip = { name: 'VIP', type: 'checkbox', options: { icon: 'check', color: 'greenBright' } };
  const fields = [...['Name', 'Phone', 'Email'].map(text), vip];
  people = (await changeSchema({ addTable: { name: 'People', fields } })).tableId;
  connection = await app.connect();
});
afterAll(() => app.close());

const rows = async (text: string, params?: unknown[]): Promise<UntypedData[]> =>
  app.database.query(text, params);
const changeSchema = (what: object): Promise<UntypedData> =>
  control(app.sandbox.url, 'schema', { baseId: crm.baseId, ...what });
const columnOf = (sync: UntypedData, fieldName: string): UntypedData =>
  sync.columns.findLast((column: UntypedData) => column.fieldName === fieldName);

/** What a subscription of one sync tells, until it ends or enough was told. */
async function progressOf(id: string, isEnough: (told: UntypedData[]) => boolean): Promise<UntypedData[]> {
  const stop = new AbortController();
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${app.adminKey}`,
    },
    body: JSON.stringify({
      query: `subscription { syncProgress(id: "${id}") { phase recordsDone recordsExpected upstreamCalls asOf } }`,
    }),
    signal: stop.signal,
  });
  let text = '';
  const told = () =>
    [...text.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json!).data.syncProgress);
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString('utf8');
    if (isEnough(told())) break;
  }
  stop.abort();
  return told();
}

it('makes a table with typed columns, fills it, tells how far it is, and follows what changes', async () => {
  const made = await createSync(app, connection);
  expect(made).toMatchObject({ table: 'calendly.contacts', isOwnTable: true, direction: 'PULL' });
  let seen: UntypedData[] = [];
  const told = progressOf(made.id, (soFar) => {
    seen = soFar;
    return soFar.at(-1)?.phase === 'LIVE';
  });
  const sync = await settled(app, made.id);
  const count = await expectEqual(app, sync);
  expect(sync.progress).toMatchObject({ recordsDone: count, recordsExpected: count, backlog: 0 });

  const created = await edit(app, { create: [{ fields: { Name: 'One' } }, { fields: { Name: 'Two' } }] });
  await edit(app, { update: [{ id: created[0], fields: { Name: 'First', Status: 'Active' } }] });
  await edit(app, { destroy: [created[1]] });
  await settled(app, sync.id);
  expect(await expectEqual(app, sync)).toBe(count + 1);
  const [meta] = await rows('SELECT state, as_of FROM calendly._syncs WHERE id = $1', [sync.id]);
  expect(meta).toMatchObject({ state: 'live', as_of: expect.any(Date) });

  await until(() => Promise.resolve(seen.at(-1)?.phase === 'LIVE'), 'who watches is told that it is live');
  expect((await told).at(-1)).toMatchObject({ phase: 'LIVE', recordsDone: count });
  contacts = sync;
});

it('can be read and written as docs/sync.md shows it in SQL', async () => {
  const text = await readFile(new URL('../../docs/sync.md', import.meta.url), 'utf8');
  const blocks = [...text.matchAll(/^```sql\n(.*?)^```$/gms)].map(([, block]) => block ?? '');
  expect(blocks.length).toBeGreaterThan(2);
  const deals = await createSync(app, connection, { tableId: 'Deals', direction: 'TWO_WAY' });
  expect(deals.table).toBe('calendly.deals');
  const client = new pg.Client({ connectionString: app.database.url });
  await client.connect();
  try {
    await client.query('BEGIN; CREATE ROLE analyst');
    for (const block of blocks) await client.query(block);
    const shown = await client.query('SELECT amount::int FROM calendly.deals WHERE name = $1', [
      'Ten licences',
    ]);
    expect(shown.rows).toEqual([{ amount: 1200 }]);
  } finally {
    await client.query('ROLLBACK');
    await client.end();
  }
  await mutate(app, 'deleteSync', { id: deals.id, dropTable: true });
});

describe('a sync of companies', () => {
  let id: string;

  beforeAll(async () => {
    id = (await createSync(app, connection, { tableId: 'Companies' })).id;
    await settled(app, id);
  });

  /** The row of the sync, with all that it remembers. */
  async function stored(): Promise<UntypedData> {
    const [row] = await app.database.query('SELECT * FROM syncs WHERE id = $1', [id]);
    return row;
  }

  it('is left alone by "resumeSync" while it runs', async () => {
    const { updated_at: before } = await stored();
    expect((await mutate(app, 'resumeSync', { id })).sync.state).toBe('LIVE');
    expect((await stored()).updated_at).toEqual(before);
  });

  it('does not say that it is fresh while fields have changed that it can not read', async () => {
    const { table_id: tableId, target_table: table } = await stored();
    const [clock] = await app.database.query('SELECT clock_timestamp() AS now');
    await control(app.sandbox.url, 'faults', {
      match: { method: 'GET', path: `/v0/meta/bases/${crm.baseId}/tables` },
      status: 500,
      times: 100,
    });
    await control(app.sandbox.url, 'schema', {
      baseId: crm.baseId,
      addField: { tableId, name: 'Made', type: 'createdTime', options: { result: { type: 'dateTime' } } },
    });
    await until(async () => (await stored()).schema_outdated, 'the change of fields is known');
    const [made] = await edit(app, { tableId, create: [{ fields: { Name: 'Later' } }] });
    await until(async () => {
      const rows = await app.database.query(`SELECT 1 FROM calendly.${table} WHERE _calendly_id = $1`, [
        made,
      ]);
      return rows.length > 0;
    }, 'what came later is there');
    expect(Number((await stored()).as_of)).toBeLessThan(Number(clock?.['now']));
    await fetch(`${app.sandbox.url}/_control/faults`, { method: 'DELETE' });
    const sync = await settled(app, id);
    expect(sync.columns.map(({ fieldName }: UntypedData) => fieldName)).toContain('Made');
    expect(sync.lastReconciledAt).not.toBeNull();
    await expectEqual(app, sync, { baseId: crm.baseId, tableId });
  });
});

it('parks the rows that constraints and types refuse, names them, lets the rest through, and tries them again', async () => {
  await rows('CREATE SCHEMA crm');
  await rows(
    `CREATE TABLE crm.people (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), full_name text CHECK (full_name <> 'Bad'),
       code varchar(3), email text UNIQUE DEFERRABLE INITIALLY DEFERRED, note text NOT NULL DEFAULT 'ours')`,
  );
  const tableId = people;
  const editPeople = (what: object) => edit(app, { tableId, ...what });
  await editPeople({ create: [{ fields: { Name: 'Ann' } }, { fields: { Name: 'Ben' } }] });
  const columns = [
    { field: 'Name', column: 'full_name' },
    { field: 'Phone', column: 'code' },
    { field: 'Email', column: 'email' },
  ];
  const create = (more: object) =>
    createSync(app, connection, { tableId, table: 'crm.people', columns, ...more });
  expect(await create({ table: 'crm.persons' })).toMatchObject({ code: 'TARGET_NOT_FOUND' });
  const misspelt = [{ field: 'Name', column: 'full_nam' }];
  expect(await create({ columns: misspelt })).toMatchObject({
    code: 'TARGET_UNFIT',
    message: expect.stringMatching(/full_nam.*full_name/),
  });
  const unfit = [{ field: 'VIP', column: 'full_name' }];
  expect(await create({ columns: unfit })).toMatchObject({
    code: 'TARGET_UNFIT',
    message: expect.stringContaining('boolean'),
  });
  const unknown = [...columns, { field: 'Nam', column: 'full_name' }];
  expect(await create({ columns: unknown })).toMatchObject({
    code: 'INVALID_INPUT',
    faults: [{ path: ['columns', '3', 'field'], message: expect.stringMatching(/"Nam".*"Name"/) }],
  });

  const { id } = await create({ columns: columns.slice(0, 1) });
  const before = await settled(app, id);
  const countPeople = async () => Number((await rows('SELECT count(*) FROM crm.people'))[0].count);
  const count = await countPeople();
  expect(before.progress.recordsDone).toBe(count);
  expect(await create({})).toMatchObject({ code: 'NAME_TAKEN' });

  const [bad, long, first, second] = await editPeople({
    create: [
      { fields: { Name: 'Bad' } },
      { fields: { Name: 'Long', Phone: '12345' } },
      { fields: { Name: 'Good', Phone: '1', Email: 'same@example.com' } },
      { fields: { Name: 'Good', Phone: '1', Email: 'same@example.com' } },
    ],
  });
  expect((await settled(app, id)).parked.nodes).toMatchObject([
    { recordId: bad, constraint: 'people_full_name_check', column: null, code: '23514' },
  ]);
  // The rows that are there already get their values without a call.
  const calls = await countCalls('list records');
  await mutate(app, 'updateSync', { id, columns });
  await until(
    async () => (await rows(`SELECT 1 FROM crm.people WHERE email = 'same@example.com'`)).length > 0,
    'an email is there',
  );
  await until(
    async () => !(await rows('SELECT rows_outdated FROM syncs WHERE id = $1', [id]))[0].rows_outdated,
    'all rows were looked at',
  );
  expect(await countCalls('list records')).toBe(calls);
  const parked = new Map<string, UntypedData>(
    (await readSync(app, id)).parked.nodes.map((one: UntypedData) => [one.recordId, one]),
  );
  expect(parked.get(long!)).toMatchObject({ column: 'code', code: '22001' });
  expect([first, second].filter((one) => parked.get(one!)?.constraint === 'people_email_key')).toHaveLength(
    1,
  );

  await editPeople({
    update: [
      { id: long, fields: { Phone: '1' } },
      { id: bad, fields: { Name: 'Better' } },
    ],
    destroy: [second],
  });
  expect(await countPeople()).toBeLessThan(count + 4);
  await settled(app, id);
  await rows(`UPDATE crm.people SET full_name = 'Mine' WHERE full_name = 'Better'`);
  await rows('ALTER TABLE crm.people ALTER COLUMN code TYPE text');
  await mutate(app, 'reconcileSync', { id });
  await until(async () => {
    const sync = await readSync(app, id);
    return sync.driftFound !== null && sync.progress.phase === 'LIVE' && sync;
  }, 'the table was read again');
  expect((await readSync(app, id)).driftFound).toBe(1);
  expect(await rows(`SELECT full_name FROM crm.people WHERE full_name IN ('Mine', 'Better')`)).toEqual([
    { full_name: 'Better' },
  ]);
  await mutate(app, 'deleteSync', { id, dropTable: true });
  expect(await countPeople()).toBeGreaterThan(count);
});

const countCalls = async (endpoint: string): Promise<number> => {
  const { byEndpoint } = await control(app.sandbox.url, 'calls');
  return byEndpoint[endpoint] ?? byEndpoint['listRecords'] ?? 0;
};

it('follows fields that are added, renamed, removed and made into others, and loses no data', async () => {
  const { id } = contacts;
  let sync = await settled(app, id);
  const followed = (what: string, holds: (sync: UntypedData) => boolean) =>
    until(async () => holds((sync = await readSync(app, id))), what);
  const { fieldId } = await changeSchema({
    addField: { tableId: crm.tableId, name: 'Shoe size', type: 'number', options: { precision: 0 } },
  });
  await followed('a column was added', () => columnOf(sync, 'Shoe size') !== undefined);
  expect(columnOf(sync, 'Shoe size')).toMatchObject({ column: 'shoe_size', columnType: 'numeric' });
  const [created] = await edit(app, { create: [{ fields: { Name: 'Sized', 'Shoe size': 43 } }] });
  await changeSchema({ renameField: { tableId: crm.tableId, fieldId, name: 'Foot' } });
  await followed('a column was renamed', () => columnOf(sync, 'Foot')?.column === 'foot');
  await settled(app, id);
  await expectEqual(app, sync);

  // Both are heard of at once.
  await control(app.sandbox.url, 'pings', { drop: true });
  await changeSchema({ removeField: { tableId: crm.tableId, fieldId } });
  await edit(app, { update: [{ id: created, fields: { Name: 'Changed since' } }] });
  await control(app.sandbox.url, 'pings', { drop: false });
  await rows('UPDATE webhooks SET drain_wanted_at = clock_timestamp()');
  await followed('a column was given up', () => columnOf(sync, 'Foot')?.goneAt !== null);
  await settled(app, id);
  expect(
    await rows(`SELECT name, foot::int FROM calendly.contacts WHERE _calendly_id = $1`, [created]),
  ).toEqual([{ name: 'Changed since', foot: 43 }]);

  // What was a number is a text by now.
  await rows(`ALTER TABLE calendly.contacts ALTER COLUMN name TYPE numeric USING 7`);
  await rows(
    `UPDATE syncs SET columns = (SELECT jsonb_agg(CASE WHEN c->>'fieldName' = 'Name'
       THEN c || '{"fieldType": "number", "valueType": "number", "columnType": "numeric"}' ELSE c END) FROM jsonb_array_elements(columns) AS c),
       schema_outdated = true WHERE id = $1`,
    [id],
  );
  await followed('a column was made anew', () => columnOf(sync, 'Name')?.columnType === 'text');
  await until(
    async () => (sync = await readSync(app, id)).progress.phase === 'LIVE' && sync.driftFound !== null,
    'it was read again',
  );
  const aside = sync.columns.find((one: UntypedData) => one.column.startsWith('name_until_'));
  expect(aside.goneAt).not.toBeNull();
  expect(await rows(`SELECT DISTINCT ${aside.column}::int AS old FROM calendly.contacts`)).toEqual([
    { old: 7 },
  ]);
  await settled(app, id);
  await expectEqual(app, sync);
});

it('finds and repairs what differs, counts it, and reads the table again by itself when changes were lost', async () => {
  const { id } = contacts;
  let sync = await settled(app, id);
  const { lastReconciledAt } = sync;
  const [one, two, three] = await rows(
    `SELECT record_id AS id FROM copied_records WHERE sync_id = $1 ORDER BY 1 LIMIT 3`,
    [id],
  );
  await rows(`UPDATE copied_records SET cells = '{}' WHERE sync_id = $1 AND record_id = $2`, [id, one.id]);
  await rows(`DELETE FROM copied_records WHERE sync_id = $1 AND record_id = $2`, [id, two.id]);
  await rows(`UPDATE copied_records SET record_id = 'recGHOST' WHERE sync_id = $1 AND record_id = $2`, [
    id,
    three.id,
  ]);
  // Addresses of an answer of yesterday.
  const avatar = columnOf(sync, 'Avatar').column;
  const [{ aged }] = await rows(
    `WITH aged AS (UPDATE calendly.contacts SET ${avatar} = jsonb_set(${avatar}, '{0,url}', '"https://example.com/old"')
       WHERE jsonb_array_length(${avatar}) > 0 RETURNING 1) SELECT count(*)::int AS aged FROM aged`,
  );
  expect(aged).toBeGreaterThan(5);
  await mutate(app, 'reconcileSync', { id });
  await until(async () => {
    sync = await readSync(app, id);
    return sync.lastReconciledAt > lastReconciledAt && sync.progress.phase === 'LIVE';
  }, 'the table was read again');
  // The ghost, and the record that it had taken the place of.
  expect(sync.driftFound).toBe(4);
  await settled(app, id);
  await expectEqual(app, sync);

  const addField = (name: string) =>
    changeSchema({ addField: { tableId: crm.tableId, name, type: 'number', options: { precision: 0 } } });
  const { fieldId } = await addField('Known before');
  await edit(app, { update: [{ id: one.id, fields: { 'Known before': 1 } }] });
  const gapRow = async (columns: string) =>
    (await rows(`SELECT ${columns} FROM calendly.contacts WHERE _calendly_id = $1`, [one.id]))[0];
  await until(async () => columnOf((sync = await readSync(app, id)), 'Known before'), 'there is a column');
  await until(async () => (await gapRow('known_before')).known_before, 'it has its value');
  await settled(app, id);

  const [webhook] = await rows(`SELECT upstream_id AS id FROM webhooks WHERE state = 'active'`);
  await control(app.sandbox.url, 'pings', { drop: true });
  const { accessToken } = await grantToken(app.sandbox.url);
  await changeSchema({ removeField: { tableId: crm.tableId, fieldId } });
  await addField('Made unseen');
  await edit(app, { update: [{ id: one.id, fields: { Name: 'Changed unseen', 'Made unseen': 2 } }] });
  await fetch(`${app.sandbox.url}/v0/bases/${crm.baseId}/webhooks/${webhook.id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${accessToken}` },
  });
  await control(app.sandbox.url, 'pings', { drop: false });
  const asOf = sync.asOf;
  await rows('UPDATE webhooks SET drain_wanted_at = clock_timestamp()');
  await until(async () => {
    sync = await readSync(app, id);
    return sync.progress.phase === 'LIVE' && sync.driftFound === 1 && sync.asOf > asOf;
  }, 'the lost change was found');
  // Fields that have changed unseen as well: what a deleted one held stays, and a new one has a column.
  expect(columnOf(sync, 'Known before').goneAt).not.toBeNull();
  expect(await gapRow('name, known_before::int, made_unseen::int')).toEqual({
    name: 'Changed unseen',
    known_before: 1,
    made_unseen: 2,
  });
  await expectEqual(app, sync);
});

it('is taken over by another instance, stands still and goes on with its connection, its target and by hand, and ends with its watchers', async () => {
  const { id } = contacts;
  await mutate(app, 'pauseSync', { id });
  await edit(app, { create: [{ fields: { Name: 'While paused' } }] });
  expect(await readSync(app, id)).toMatchObject({ state: 'PAUSED', pausedBecause: 'BY_HAND' });
  await mutate(app, 'resumeSync', { id });
  const sync = await settled(app, id);
  await expectEqual(app, sync);

  await rows('DROP TABLE calendly.contacts');
  await edit(app, { create: [{ fields: { Name: 'No room' } }] });
  await until(async () => (await readSync(app, id)).pausedBecause === 'TARGET_GONE', 'the target is missed');
  expect((await readSync(app, id)).problem).toContain('calendly.contacts');
  await mutate(app, 'resumeSync', { id });
  await settled(app, id);
  await until(
    async () => !(await rows('SELECT rows_outdated FROM syncs WHERE id = $1', [id]))[0].rows_outdated,
    'all rows are there',
  );
  await expectEqual(app, sync);

  // A process that died holds the lease for a while yet.
  const other = await app.another();
  await rows(`UPDATE syncs SET state = 'paused', holder = NULL WHERE id = $1`, [id]);
  await rows(
    `UPDATE syncs SET state = 'live', paused_because = NULL, holder = gen_random_uuid(), lease_until = clock_timestamp() + interval '1 second' WHERE id = $1`,
    [id],
  );
  await edit(app, { create: [{ fields: { Name: 'Meanwhile' } }] });
  await settled(other, id);
  await expectEqual(app, sync);
  await other.close();

  await app.graphql(
    `mutation { disconnectConnection(input: { connection: ${connection} }) { __typename ... on Error { message } } }`,
  );
  await until(
    async () => (await readSync(app, id)).pausedBecause === 'CONNECTION_AWAY',
    'it waits for its connection',
  );
  const told = progressOf(id, () => false);
  await mutate(app, 'deleteSync', { id, dropTable: true });
  await told;
  expect(await readSync(app, id)).toBeFalsy();
  expect(await rows(`SELECT to_regclass('calendly.contacts') AS name`)).toEqual([{ name: null }]);
});
