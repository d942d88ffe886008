import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { TableSchema } from '../../src/bases/table-schema.ts';
import { removeStrayCaptures } from '../../src/sync/push/capture.ts';
import { followSchema } from '../../src/sync/target/follow-schema.ts';
import { serverRelations, serverViews } from '../../src/sync/target/server-tables.ts';
import { putRows } from '../../src/sync/target/target-rows.ts';
import { control, startTestApp, type TestApp, type UntypedData } from '../support/app.ts';
import { isLongRun, repeats, timeLimitMs } from '../support/repeats.ts';
import { createSync, crm, mutate, readSync, settled, until } from './sync-app.ts';

let app: TestApp;
let connection: number;
/** As the migrations have left it. */
let migrated: string[];
let items: string;
let oddNames: string;

beforeAll(async () => {
  app = await startTestApp({ lookEveryMs: 50 });
  const rows = await query(
    `SELECT CASE nspname WHEN 'public' THEN '' ELSE nspname || '.' END || relname AS name
     FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
     WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT starts_with(nspname, 'pg_') AND nspname <> 'information_schema'`,
  );
  migrated = rows.map(({ name }) => String(name));
  await query('CREATE SCHEMA crm');
  const text = (name: string) => ({ name, type: 'singleLineText' });
  items = await upstreamTable('Items', [
    text('Name'),
    text('Code'),
    { name: 'Points', type: 'number', options: { precision: 1 } },
  ]);
  oddNames = await upstreamTable('Odd names', ['Name', 'xmin', 'CTID', 'Order', 'user', 'a "b"'].map(text));
  connection = await app.connect();
});
afterAll(() => app.close());

function query(text: string, params?: unknown[]): Promise<UntypedData[]> {
  return app.database.query(text, params);
}

async function upstreamTable(name: string, fields: object[]): Promise<string> {
  const addTable = { name, fields };
  const { tableId } = await control<{ tableId: string }>(app.sandbox.url, 'schema', {
    baseId: crm.baseId,
    addTable,
  });
  return tableId;
}

/** A person edits a table in the service's own pages. @returns ids of what was created */
async function edit(tableId: string, what: object): Promise<string[]> {
  const given = { baseId: crm.baseId, tableId, ...what };
  return (await control<{ created: string[] }>(app.sandbox.url, 'edits', given)).created;
}

/** One edit makes them all. @returns their ids */
function create(...cells: object[]): Promise<string[]> {
  return edit(items, { create: cells.map((fields) => ({ fields })) });
}

/** Keeps a table of the upstream in one that was there before. */
async function keepIn(
  table: string,
  columns: Record<string, string>,
  tableId: string = items,
): Promise<UntypedData> {
  return createSync(app, connection, {
    tableId,
    table,
    columns: Object.entries(columns).map(([column, field]) => ({ column, field })),
  });
}

/** What the last test has left upstream would be another's. */
async function end({ id }: UntypedData, records: string[]): Promise<void> {
  await mutate(app, 'deleteSync', { id });
  await edit(items, { destroy: records });
}

async function reconciled(id: string): Promise<UntypedData> {
  const { lastReconciledAt } = await readSync(app, id);
  await mutate(app, 'reconcileSync', { id });
  return until(async () => {
    const sync = await readSync(app, id);
    const [row] = await query('SELECT rows_outdated AS outdated FROM syncs WHERE id = $1', [id]);
    return sync.lastReconciledAt > lastReconciledAt && !row.outdated && sync;
  }, `${id} is read again`);
}

test('no sync writes to what the server or PostgreSQL live by, whatever the migrations make', async () => {
  expect([...serverRelations, ...serverViews].sort()).toEqual(migrated.sort());
  const wishes = [
    ['public.connections', 'name'],
    ['public.audit_entries', 'actor'],
    ['public.migrations', 'name'],
    ['pg_catalog.pg_authid', 'rolname'],
    ['information_schema.sql_features', 'feature_name'],
  ] as const;
  for (const [table, column] of wishes)
    expect(await keepIn(table, { [column]: 'Name' })).toMatchObject({
      code: 'TARGET_UNFIT',
      message: expect.stringContaining(table),
    });
  // The name alone means nothing.
  await query('CREATE TABLE crm.connections (id serial PRIMARY KEY, name varchar(300))');
  const made = await keepIn('crm.connections', { name: 'Name' });
  expect(made).toMatchObject({ table: 'crm.connections' });
  await settled(app, made.id);
  await mutate(app, 'pauseSync', { id: made.id });
  // Should the row of a sync ever say so.
  await query(`UPDATE syncs SET target_schema = 'public' WHERE id = $1`, [made.id]);
  expect(await mutate(app, 'resumeSync', { id: made.id })).toMatchObject({ code: 'TARGET_UNFIT' });
  await query(`UPDATE syncs SET target_schema = 'crm' WHERE id = $1`, [made.id]);
  await end(made, []);
});

test('a value that does not fit is parked, at first or once its column was altered, and the sync goes on', async () => {
  await query('CREATE TABLE crm.short (id serial PRIMARY KEY, code varchar(5), points integer)');
  const ids = await create({ Code: 'too long' }, { Code: 'good' }, { Code: 'fine', Points: 40_000 });
  const made = await keepIn('crm.short', { code: 'Code', points: 'Points' });
  expect((await settled(app, made.id)).parked.nodes).toMatchObject([{ recordId: ids[0], column: 'code' }]);
  await query('ALTER TABLE crm.short ALTER points TYPE smallint USING NULL');
  const { parked, driftFound } = await reconciled(made.id);
  expect(parked.nodes.map(({ recordId }: UntypedData) => recordId).sort()).toEqual([ids[0], ids[2]].sort());
  expect(driftFound).toBeLessThanOrEqual(1);
  await edit(items, { update: [{ id: ids[1], fields: { Code: 'still' } }] });
  await settled(app, made.id);
  expect(await query(`SELECT 1 FROM crm.short WHERE code = 'still'`)).toHaveLength(1);
  await end(made, ids);
});

test('whatever a trigger of the table refuses a row with is told of that row alone', async () => {
  await query(`CREATE TABLE crm.guarded (id serial PRIMARY KEY, name text);
    CREATE FUNCTION crm.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.name = 'fine' THEN RETURN NEW; END IF;
      RAISE EXCEPTION USING MESSAGE = repeat('x', length(NEW.name)) || repeat('😀', 400), ERRCODE = left(NEW.name, 5);
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON crm.guarded FOR EACH ROW EXECUTE FUNCTION crm.refuse()`);
  // The messages are cut to one length; one of each pair is cut inside a character of two units.
  const states = ['42501', '42501-', '55000', '55000-', '42P01'];
  const ids = await create({ Name: 'fine' }, ...states.map((Name) => ({ Name })));
  const made = await keepIn('crm.guarded', { name: 'Name' });
  const { parked } = await settled(app, made.id);
  const codes = parked.nodes.map(({ code }: UntypedData) => String(code));
  expect(codes.sort()).toEqual(states.map((state) => state.slice(0, 5)).sort());
  expect(await query('SELECT name FROM crm.guarded')).toEqual([{ name: 'fine' }]);
  await end(made, ids);
});

test('a policy for rows refuses the row, a right that is missing the whole table', async () => {
  await query(`CREATE TABLE crm.ruled (id serial PRIMARY KEY, name text);
    ALTER TABLE crm.ruled ENABLE ROW LEVEL SECURITY;
    CREATE POLICY short ON crm.ruled USING (true) WITH CHECK (length(name) < 4);
    CREATE ROLE table_writer; GRANT USAGE ON SCHEMA crm TO table_writer; GRANT ALL ON ALL TABLES IN SCHEMA crm TO table_writer;
    GRANT ALL ON ALL SEQUENCES IN SCHEMA crm TO table_writer`);
  const made = await keepIn('crm.ruled', { name: 'Name' });
  const sync = await app.app.syncs.stored.get(made.id);
  const fieldId = String(made.columns[0].fieldId);
  const rows = ['one', 'three', 'two'].map((name) => ({
    recordId: name,
    rowKey: null,
    cells: { [fieldId]: name },
    changedAt: new Date(0),
  }));
  const put = () =>
    app.app.database.transaction(async (sql) => {
      await sql.query('SET LOCAL ROLE table_writer');
      return putRows(sql, sync, rows);
    });
  const { keys, refused } = await put();
  expect([...keys.keys()]).toEqual(['one', 'two']);
  expect(refused).toMatchObject([{ recordId: 'three', code: '42501' }]);
  await query('REVOKE INSERT ON crm.ruled FROM table_writer');
  await expect(put()).rejects.toThrow('permission denied for table ruled');
  await query('DROP OWNED BY table_writer; DROP ROLE table_writer');
  await end(made, []);
});

test('a row that a trigger keeps as it is is not made twice', async () => {
  await query(`CREATE TABLE crm.rounded (id serial PRIMARY KEY, points numeric(5, 0));
    CREATE TRIGGER same BEFORE UPDATE ON crm.rounded FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`);
  const ids = await create({ Points: 1.2 });
  const made = await keepIn('crm.rounded', { points: 'Points' });
  await settled(app, made.id);
  await edit(items, { update: [{ id: ids[0], fields: { Points: 1.3 } }] });
  await settled(app, made.id);
  expect(await query('SELECT points::int FROM crm.rounded')).toEqual([{ points: 1 }]);
  await end(made, ids);
});

test('fields and columns may be called as the columns that every table has, and as words of SQL', async () => {
  await edit(oddNames, {
    create: [{ fields: { Name: 'one', xmin: 'x', CTID: 'c', Order: 'o', user: 'u', 'a "b"': 'q' } }],
  });
  const made = await createSync(app, connection, { tableId: oddNames });
  await settled(app, made.id);
  expect(await query(`SELECT name, xmin_2, ctid_2, "order", "user", a_b FROM ${made.table}`)).toEqual([
    { name: 'one', xmin_2: 'x', ctid_2: 'c', order: 'o', user: 'u', a_b: 'q' },
  ]);
  await mutate(app, 'deleteSync', { id: made.id });
  // The same of a table that was there before, sent as well as followed.
  await query('CREATE TABLE crm."select" ("order" text PRIMARY KEY, "user" text, "a ""b""" text)');
  const own = await createSync(app, connection, {
    tableId: oddNames,
    table: 'crm.select',
    direction: 'TWO_WAY',
    columns: ['Order', 'user', 'a "b"'].map((field) => ({ field, column: field.replace('O', 'o') })),
  });
  await settled(app, own.id);
  await query(`UPDATE crm."select" SET "user" = 'mine'`);
  const isBack = () =>
    query(`SELECT 1 FROM copied_records WHERE sync_id = $1 AND cells::text LIKE '%mine%'`, [own.id]);
  await until(async () => (await isBack()).length > 0, 'the change came back');
  await mutate(app, 'deleteSync', { id: own.id });
});

test('a field that takes another type and then its old one again leaves what was kept; one that comes back finds its column', async () => {
  const made = await createSync(app, connection, { tableId: oddNames });
  await mutate(app, 'pauseSync', { id: made.id });
  let sync = await app.app.syncs.stored.get(made.id);
  const follow = async (...fields: { name: string; type: string }[]) => {
    const table = new TableSchema({
      id: oddNames,
      name: 'Odd names',
      primaryFieldId: 'fldOne',
      fields: fields.map((field) => ({ id: 'fldOne', ...field })),
      views: [],
    });
    const now = new Date('2026-11-22T10:00:00Z');
    const { columns } = await followSchema(app.app.database, sync, table, now);
    sync = { ...sync, columns };
    return columns.filter(({ fieldId, goneAt }) => fieldId === 'fldOne' && goneAt === null);
  };
  await follow({ name: 'Status', type: 'singleLineText' });
  await query(`INSERT INTO ${made.table} (status) VALUES ('first')`);
  await follow({ name: 'Status', type: 'number' });
  await query(`UPDATE ${made.table} SET status = 2`);
  expect(await follow({ name: 'Status', type: 'singleLineText' })).toMatchObject([{ column: 'status' }]);
  const kept = { status_until_20261122: 'first', status_until_20261122_2: '2' };
  const columns = `status, status_until_20261122, status_until_20261122_2::text`;
  expect(await query(`SELECT ${columns} FROM ${made.table}`)).toEqual([{ status: null, ...kept }]);
  await query(`UPDATE ${made.table} SET status = 'third'`);
  expect(await follow()).toEqual([]);
  expect(await follow({ name: 'State', type: 'singleLineText' })).toMatchObject([{ column: 'state' }]);
  expect(await query(`SELECT state FROM ${made.table}`)).toEqual([{ state: 'third' }]);
  await mutate(app, 'deleteSync', { id: made.id });
});

test('an existing row becomes that of the record with its key, and a deletion that was refused does not take it from the next', async () => {
  await query(`CREATE TABLE crm.people (code text PRIMARY KEY, name text, note text);
    CREATE TABLE crm.calls (code text REFERENCES crm.people);
    INSERT INTO crm.people VALUES ('a', 'old', 'mine'), ('z', 'nobody', 'mine');
    INSERT INTO crm.calls VALUES ('a')`);
  const ids = await create({ Code: 'a', Name: 'new' }, { Code: 'b', Name: 'b' });
  const made = await keepIn('crm.people', { code: 'Code', name: 'Name' });
  expect((await settled(app, made.id)).parkedCount).toBe(0);
  const people = () => query('SELECT code, name, note FROM crm.people ORDER BY code');
  expect(await people()).toEqual([
    { code: 'a', name: 'new', note: 'mine' },
    { code: 'b', name: 'b', note: null },
    { code: 'z', name: 'nobody', note: 'mine' },
  ]);
  // One row is one record's, whichever comes first.
  const doubles = await create({ Code: 'z', Name: 'first' }, { Code: 'z', Name: 'second' }, { Code: 'b' });
  const { parked } = await settled(app, made.id);
  expect(parked.nodes).toMatchObject([{ constraint: 'people_pkey' }, { constraint: 'people_pkey' }]);
  expect((await people()).at(1)).toMatchObject({ name: 'b' });
  await edit(items, { destroy: doubles });

  await edit(items, { destroy: [ids[0]] });
  expect((await settled(app, made.id)).parked.nodes).toMatchObject([{ recordId: ids[0], isDeletion: true }]);
  const next = await create({ Code: 'a', Name: 'next' });
  await settled(app, made.id);
  await query('DELETE FROM crm.calls');
  expect((await reconciled(made.id)).parkedCount).toBe(0);
  expect((await people())[0]).toEqual({ code: 'a', name: 'next', note: 'mine' });
  await end(made, [ids[1] ?? '', ...next]);
});

test('a value that rows hand on to each other gets through, whatever their order', async () => {
  await query('CREATE TABLE crm.seats (id serial PRIMARY KEY, code text UNIQUE)');
  const ids = await create(...['1', '2', '3', '11', '12', '13'].map((Code) => ({ Code })));
  const made = await keepIn('crm.seats', { code: 'Code' });
  await settled(app, made.id);
  const after = ['2', '3', '4', '10', '11', '12'];
  await edit(items, { update: ids.map((id, index) => ({ id, fields: { Code: after[index] } })) });
  expect((await settled(app, made.id)).parked.nodes).toEqual([]);
  const seats = await query('SELECT code FROM crm.seats');
  expect(seats.map(({ code }) => String(code)).sort()).toEqual([...after].sort());
  await end(made, ids);
});

/** Somebody whose transaction is not over. */
async function transactionOf(text: string): Promise<{ end: () => Promise<void> }> {
  const client = new pg.Client({ connectionString: app.database.url });
  await client.connect();
  await client.query(`BEGIN; ${text}`);
  return {
    end: async () => {
      await client.query('COMMIT');
      await client.end();
    },
  };
}

test(
  'rows that others keep locked hold up their own sync alone, which catches up once they are free',
  async () => {
    const ids = await create({ Name: 'before' });
    // One more than there are turns for transactions.
    const names = ['free', 'locked_1', 'locked_2', 'locked_3'].slice(0, repeats({ suite: 2, long: 4 }));
    const syncs: UntypedData[] = [];
    for (const name of names) {
      await query(`CREATE TABLE crm.${name} (id serial PRIMARY KEY, name text)`);
      syncs.push(await settled(app, (await keepIn(`crm.${name}`, { name: 'Name' })).id));
    }
    const isAfter = async (name: string) =>
      (await query(`SELECT 1 FROM crm.${name} WHERE name = 'after'`)).length > 0;
    const [free = '', ...locked] = names;
    const others = await transactionOf(
      locked.map((name) => `SELECT 1 FROM crm.${name} FOR UPDATE`).join(';'),
    );
    await edit(items, { update: [{ id: ids[0], fields: { Name: 'after' } }] });
    const waiting = () => query(`SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'`);
    await until(async () => (await waiting()).length > 0, 'a sync waits for its rows');
    await until(() => isAfter(free), 'the other goes on', 10_000);
    const [, held] = syncs;
    if (isLongRun)
      await until(
        async () => (await readSync(app, held.id)).problem?.includes('locked'),
        'it is told',
        60_000,
      );
    // Nor is anything of the sync itself kept, such as its row.
    const since = performance.now();
    await mutate(app, 'pauseSync', { id: held.id });
    expect(performance.now() - since).toBeLessThan(10_000);
    await mutate(app, 'resumeSync', { id: held.id });
    await others.end();
    for (const name of locked) await until(() => isAfter(name), `${name} catches up`);
    for (const { id } of syncs.slice(1)) await mutate(app, 'deleteSync', { id });
    await end(syncs[0], ids);
  },
  timeLimitMs,
);

test('triggers of syncs that are gone are removed one by one, and make nobody wait for a table in use', async () => {
  for (const name of ['in_use', 'unused'])
    await query(`CREATE TABLE crm.${name} (id integer PRIMARY KEY);
      CREATE TRIGGER calendly_sync_gone AFTER INSERT ON crm.${name}
        FOR EACH ROW EXECUTE FUNCTION sync_capture('00000000-0000-0000-0000-000000000000', 'id')`);
  const user = await transactionOf('LOCK TABLE crm.in_use IN ROW EXCLUSIVE MODE');
  const remove = async () => {
    const failed: string[] = [];
    await removeStrayCaptures(app.app.database, (_error, { table }) => failed.push(table));
    return failed;
  };
  expect(await remove()).toEqual(['crm.in_use']);
  expect(
    await query(`SELECT tgrelid::regclass::text AS name FROM pg_trigger WHERE tgname = 'calendly_sync_gone'`),
  ).toEqual([{ name: 'crm.in_use' }]);
  await user.end();
  expect(await remove()).toEqual([]);
});

test('a sync of a table that belongs to somebody else is turned and deleted, though its triggers stay', async () => {
  await query(`CREATE TABLE crm.foreign_owned (code text PRIMARY KEY, name text);
    CREATE ROLE crm_owner; ALTER TABLE crm.foreign_owned OWNER TO crm_owner;
    CREATE ROLE sync_server; GRANT USAGE ON SCHEMA crm TO sync_server;
    GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON crm.foreign_owned TO sync_server;
    DO $$ BEGIN EXECUTE format('GRANT %I TO sync_server', current_user); END $$`);
  const url = new URL(app.database.url);
  url.searchParams.set('options', '-c role=sync_server');
  const server = await app.another({ databaseUrl: url.href });
  try {
    const ids = await create({ Code: 'a', Name: 'theirs' });
    const columns = ['code', 'name'].map((column) => ({
      column,
      field: column === 'code' ? 'Code' : 'Name',
    }));
    const wish = { tableId: items, table: 'crm.foreign_owned', columns, direction: 'TWO_WAY' };
    const { id } = await createSync(server, connection, wish);
    await settled(app, id);
    const triggers = () =>
      query(`SELECT tgname FROM pg_trigger WHERE tgrelid = 'crm.foreign_owned'::regclass ORDER BY 1`);
    const captured = () => query('SELECT 1 FROM sync_outbox WHERE sync_id = $1', [id]);
    const turn = (direction: string) => mutate(server, 'updateSync', { id, direction });
    expect(await turn('PULL')).toMatchObject({ sync: { direction: 'PULL' } });
    expect(await triggers()).toHaveLength(3);
    await until(
      async () => !(await query('SELECT rows_outdated AS it FROM syncs WHERE id = $1', [id]))[0].it,
      'the rows are in step',
    );
    await query(`UPDATE crm.foreign_owned SET name = 'mine'`);
    expect(await captured()).toEqual([]);
    // What was changed while nothing was captured is found.
    expect(await turn('TWO_WAY')).toMatchObject({ sync: { direction: 'TWO_WAY' } });
    const isSent = () =>
      query(`SELECT 1 FROM copied_records WHERE sync_id = $1 AND cells::text LIKE '%mine%'`, [id]);
    await until(async () => (await isSent()).length > 0, 'it was sent, and came back');
    expect(await mutate(server, 'deleteSync', { id })).toMatchObject({ id });
    await query(`INSERT INTO crm.foreign_owned VALUES ('b', 'alone')`);
    expect(await captured()).toEqual([]);
    const failed: string[] = [];
    await removeStrayCaptures(server.app.database, (_error, { name }) => failed.push(name));
    expect(failed.sort()).toEqual((await triggers()).map(({ tgname }) => tgname));
    await removeStrayCaptures(app.app.database, (_error, { name }) => failed.push(name));
    expect(await triggers()).toEqual([]);
    await edit(items, { destroy: ids });
  } finally {
    await server.close();
    await query(`DROP TABLE crm.foreign_owned; DROP OWNED BY sync_server; DROP ROLE sync_server, crm_owner`);
  }
});

test('a table all of whose fields are gone keeps its rows, and the sync goes on', async () => {
  await query('CREATE TABLE crm.left_alone (id serial PRIMARY KEY, points numeric)');
  const ids = await create({ Points: 1 });
  const made = await keepIn('crm.left_alone', { points: 'Points' });
  await settled(app, made.id);
  const removeField = { tableId: items, fieldId: made.columns[0].fieldId };
  await control(app.sandbox.url, 'schema', { baseId: crm.baseId, removeField });
  await until(async () => (await readSync(app, made.id)).problem, 'the field is missed');
  const [more] = await create({ Name: 'more' });
  await edit(items, { update: [{ id: ids[0], fields: { Name: 'other' } }] });
  await settled(app, made.id);
  expect(await reconciled(made.id)).toMatchObject({
    state: 'LIVE',
    problem: expect.stringContaining('Points'),
  });
  expect(await query('SELECT points::int FROM crm.left_alone')).toEqual([{ points: 1 }]);
  await end(made, [...ids, more ?? '']);
});
