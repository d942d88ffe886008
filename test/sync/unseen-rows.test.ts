import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { control, startTestApp, type TestApp, type UntypedData } from '../support/app.ts';
import { requireFit } from '../../src/sync/target/fit-table.ts';
import { createSync, crm, mutate, readSync, until } from './sync-app.ts';
import { TwoWayTable } from './two-way-table.ts';

/** Rows that can not be seen, or are gone without a word, are never taken for deleted. */

let app: TestApp;
let connection: number;
let table: TwoWayTable;
const names = ['first', 'second', 'third'];

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
  const tableId = await TwoWayTable.upstream(app, names);
  await readTables();
  const addField = { tableId, name: 'Late', type: 'singleLineText' };
  await control(app.sandbox.url, 'schema', { baseId: crm.baseId, addField });
  table = await TwoWayTable.make(app, connection, tableId, {});
});
afterAll(() => app.close());

/** The server believes for a while that the base is like that. */
async function readTables(): Promise<void> {
  const document = 'query ($id: String!, $of: Int!) { base(connection: $of, baseId: $id) { tables { id } } }';
  const { errors } = await app.graphql(document, { id: crm.baseId, of: connection });
  expect(errors).toBeUndefined();
}

const upstreamNames = async () => [...(await table.records()).values()].map(({ name }) => name).sort();
const rowNames = async () =>
  (await table.query('SELECT name FROM $table ORDER BY name')).map(({ name }) => name);

async function expectAllBack(): Promise<void> {
  await until(async () => (await rowNames()).length === names.length, 'all rows are back');
  await table.quiet();
  expect(await rowNames()).toEqual(names);
  expect(await upstreamNames()).toEqual(names);
}

test('a sync has the fields that there are when it is made, also those that nobody has heard of', async () => {
  const { columns } = await readSync(app, table.syncId);
  expect(columns.map(({ fieldName }: UntypedData) => fieldName)).toContain('Late');
});

test('a row that was deleted with triggers switched off is made again by a reconcile, whatever was pending of it', async () => {
  await mutate(app, 'pauseSync', { id: table.syncId });
  await table.query(`UPDATE $table SET points = 2 WHERE name = 'second'`);
  await table.query(
    `BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM $table WHERE name <> 'first'; COMMIT`,
  );
  const before = await table.writes();
  await mutate(app, 'reconcileSync', { id: table.syncId });
  await mutate(app, 'resumeSync', { id: table.syncId });
  await expectAllBack();
  expect(await table.writes()).toBe(before);
});

test('a table that was put in the place of the target gets the rows that it lacks, and is followed', async () => {
  await table.query(`BEGIN; CREATE TABLE public.successor (LIKE $table INCLUDING ALL); DROP TABLE $table;
    ALTER TABLE public.successor SET SCHEMA calendly; ALTER TABLE calendly.successor RENAME TO ${table.table.split('.')[1]}; COMMIT`);
  // Whatever makes the sync work at its table again.
  await table.edit({ update: [{ id: (await table.recordOf('third')).id, fields: { Points: 3 } }] });
  await expectAllBack();
  await table.query(`UPDATE $table SET points = 2 WHERE name = 'second'`);
  await table.quiet();
  expect(await table.recordOf('second')).toMatchObject({ points: 2 });
});

test('from PUSH to TWO_WAY, records without a row get one', async () => {
  await mutate(app, 'updateSync', { id: table.syncId, direction: 'PUSH' });
  const [recordId] = await table.edit({ create: [{ fields: { Name: 'pushed aside' } }] });
  await table.quiet();
  expect(await table.row('pushed aside')).toBeNull();
  await mutate(app, 'updateSync', { id: table.syncId, direction: 'TWO_WAY' });
  await until(() => table.row('pushed aside'), 'the record has a row');
  await table.edit({ destroy: [recordId] });
  await expectAllBack();
});

test('a table whose key is another pauses the sync, which goes on when the key is back', async () => {
  await table.query(`ALTER TABLE $table ADD COLUMN other uuid NOT NULL DEFAULT gen_random_uuid()`);
  const key = `(SELECT conname FROM pg_constraint WHERE conrelid = '${table.table}'::regclass AND contype = 'p')`;
  const [{ name }] = await table.query(`SELECT ${key} AS name`);
  await table.query(
    `BEGIN; ALTER TABLE $table DROP CONSTRAINT "${name}"; ALTER TABLE $table ADD PRIMARY KEY (other); COMMIT`,
  );
  await table.edit({ update: [{ id: (await table.recordOf('third')).id, fields: { Points: 4 } }] });
  const paused = await until(async () => {
    const sync = await readSync(app, table.syncId);
    return sync.state === 'PAUSED' && sync;
  }, 'the sync is paused');
  expect(paused).toMatchObject({
    pausedBecause: 'TARGET_GONE',
    problem: expect.stringContaining('was (_id) and is (other) now'),
  });
  expect(await mutate(app, 'resumeSync', { id: table.syncId })).toMatchObject({ code: 'TARGET_UNFIT' });
  const [{ name: second }] = await table.query(`SELECT ${key} AS name`);
  await table.query(
    `BEGIN; ALTER TABLE $table DROP CONSTRAINT "${second}"; ALTER TABLE $table ADD PRIMARY KEY (_id); COMMIT`,
  );
  await mutate(app, 'resumeSync', { id: table.syncId });
  await expectAllBack();
});

test('tables whose rows are hidden, or belong to another table too, are refused', async () => {
  await app.database.query(`CREATE SCHEMA shop;
    CREATE TABLE shop.orders (id integer PRIMARY KEY, title text) PARTITION BY RANGE (id);
    CREATE TABLE shop.orders_1 PARTITION OF shop.orders FOR VALUES FROM (0) TO (100);
    CREATE TABLE shop.parent (id integer PRIMARY KEY, title text);
    CREATE TABLE shop.child (PRIMARY KEY (id)) INHERITS (shop.parent);
    CREATE TABLE shop.hidden (id integer PRIMARY KEY, title text);
    CREATE TABLE shop.open (id serial PRIMARY KEY, title text, secret text);
    ALTER TABLE shop.hidden ENABLE ROW LEVEL SECURITY`);
  const columns = [{ field: 'Name', column: 'title' }];
  for (const name of ['orders_1', 'child', 'parent'])
    expect(await createSync(app, connection, { table: `shop.${name}`, columns })).toMatchObject({
      code: 'TARGET_UNFIT',
    });
  // Who owns the database sees all rows.
  await app.database.query(`CREATE ROLE unseeing; GRANT USAGE ON SCHEMA shop TO unseeing`);
  const asOther = app.app.database.transaction(async (sql) => {
    await sql.query('SET LOCAL ROLE unseeing');
    await requireFit(sql, { targetSchema: 'shop', targetTable: 'hidden' });
  });
  await expect(asOther).rejects.toMatchObject({ code: 'TARGET_UNFIT' });
});

test('a key for some bases can not name a table that may hold what belongs to others', async () => {
  const key = await app.app.keys.create('some bases', 'admin', { baseIds: [crm.baseId] });
  const { errors } = await app.graphql(
    `mutation ($input: CreateSyncInput!) { createSync(input: $input) { __typename } }`,
    { input: { connection, ...crm, table: 'shop.orders', columns: [{ field: 'Name', column: 'title' }] } },
    { key },
  );
  expect(errors?.[0]?.extensions.code).toBe('FORBIDDEN');

  // Nor can it have another one's sync show more of such a table.
  const { id } = await createSync(app, connection, {
    table: 'shop.open',
    columns: [{ field: 'Name', column: 'title' }],
  });
  const updated = async (what: object) => {
    const answer = await app.graphql(
      `mutation ($input: UpdateSyncInput!) { updateSync(input: $input) { __typename } }`,
      { input: { id, ...what } },
      { key },
    );
    return answer.errors?.[0]?.extensions.code ?? answer.data.updateSync.__typename;
  };
  expect(await updated({ columns: [{ field: 'Name', column: 'secret' }] })).toBe('FORBIDDEN');
  expect(await updated({ direction: 'PUSH' })).toBe('FORBIDDEN');
  expect(await updated({ conflicts: 'OMNERA_WINS', direction: 'PULL' })).toBe('UpdateSyncSuccess');
  await mutate(app, 'deleteSync', { id });
});

test('sending changes takes the scope to write, which is said at once', async () => {
  const reader = await app.connect();
  await app.database.query(
    `UPDATE connections SET granted_scopes = array_remove(granted_scopes, 'data.records:write') WHERE id = $1`,
    [reader],
  );
  const { errors } = await app.graphql(
    `mutation ($input: CreateSyncInput!) { createSync(input: $input) { __typename } }`,
    { input: { connection: reader, ...crm, direction: 'PUSH' } },
  );
  expect(errors?.[0]?.extensions.code).toBe('SCOPE_MISSING');
});

test('a table that a view shows is not dropped, which says why, and nothing is deleted then', async () => {
  await table.query(`CREATE VIEW public.shown AS SELECT name FROM $table`);
  expect(await mutate(app, 'deleteSync', { id: table.syncId, dropTable: true })).toMatchObject({
    code: 'TARGET_UNFIT',
    message: expect.stringContaining('Others depend on it'),
  });
  expect(await readSync(app, table.syncId)).toMatchObject({ state: 'LIVE' });
  await table.query('DROP VIEW public.shown');
  await mutate(app, 'deleteSync', { id: table.syncId, dropTable: true });
  expect(await table.query(`SELECT to_regclass($1) AS found`, [table.table])).toEqual([{ found: null }]);
});
