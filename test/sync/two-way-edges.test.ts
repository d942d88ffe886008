import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { CallMeter } from '../../src/calendly/operation.ts';
import { control, startTestApp, type TestApp, type UntypedData } from '../support/app.ts';
import { crm, mutate, readSync, until, upstreamRecords } from './sync-app.ts';
import { TwoWayTable } from './two-way-table.ts';

let app: TestApp;
let connection: number;
/** Tables upstream, made before the schema of the base is read. */
const upstream: string[] = [];

beforeAll(async () => {
  app = await startTestApp({ lookEveryMs: 50 });
  for (const names of [['a', 'b'], [], [], [], ['a', 'b', 'c']])
    upstream.push(await TwoWayTable.upstream(app, names));
  await app.database.query('CREATE SCHEMA crm');
  connection = await app.connect();
});
afterAll(() => app.close());
afterEach(endFaults);

async function endFaults(): Promise<void> {
  await fetch(`${app.sandbox.url}/_control/faults`, { method: 'DELETE' });
}
/** As the server works by itself. */
function operation() {
  const deadline = Date.now() + 30_000;
  return { callerId: 'syncs', priority: 'background' as const, deadline, meter: new CallMeter() };
}
/** A person edits in the service's own pages. */
function edit(tableId: string, what: object): Promise<{ created: string[] }> {
  return control(app.sandbox.url, 'edits', { baseId: crm.baseId, tableId, ...what });
}

/** What the upstream has of a table, by the name of each record. */
async function byName(tableId: string, name: string): Promise<Map<string, UntypedData>> {
  const records = await upstreamRecords(app.sandbox.url, { baseId: crm.baseId, tableId });
  return new Map([...records].map(([id, { fields }]) => [String(fields[name]), { id, ...fields }]));
}

async function columnOf(of: TwoWayTable, fieldName: string): Promise<UntypedData> {
  const { columns } = await readSync(app, of.syncId);
  return columns.find((one: UntypedData) => one.fieldName === fieldName && one.goneAt === null);
}

async function reconciled(of: TwoWayTable): Promise<number> {
  await mutate(app, 'reconcileSync', { id: of.syncId });
  const { driftFound } = await until(async () => {
    const sync = await readSync(app, of.syncId);
    return sync.driftFound !== null && sync.progress.phase === 'LIVE' && sync;
  }, 'the table was read again');
  await of.quiet();
  return driftFound;
}

/** Unseen by the triggers. */
async function unseen(of: TwoWayTable, text: string): Promise<void> {
  await of.query(`BEGIN; SET LOCAL session_replication_role = replica; ${text}; COMMIT`);
}

test('fields that are added, renamed, made into others and removed take no value along, on either side', async () => {
  const [tableId = ''] = upstream;
  const table = await TwoWayTable.make(app, connection, tableId, {});
  const schema = (change: object) =>
    control<{ fieldId: string }>(app.sandbox.url, 'schema', { baseId: crm.baseId, ...change });
  const { name = '', points = '' } = table.fields;
  await table.query(`UPDATE $table SET points = 1.5 WHERE name = 'a'`);
  await table.quiet();
  const { fieldId } = await schema({
    addField: { tableId, name: 'Size', type: 'number', options: { precision: 0 } },
  });
  await edit(tableId, { update: [{ id: (await table.recordOf('a')).id, fields: { Size: 3 } }] });
  await until(async () => (await table.row('a')).size === 3, 'the new field has a column');
  await table.query(`UPDATE $table SET size = 4 WHERE name = 'b'`);
  await table.quiet();
  expect((await byName(tableId, name)).get('b')[fieldId]).toBe(4);

  const sent = await table.writes();
  await schema({ renameField: { tableId, fieldId, name: 'Width' } });
  await until(async () => (await columnOf(table, 'Width'))?.column === 'width', 'the column was renamed');
  await schema({ retypeField: { tableId, fieldId: points, type: 'singleLineText' } });
  await until(
    async () => (await columnOf(table, 'Points'))?.columnType === 'text',
    'there is another column',
  );
  await until(async () => (await table.row('a')).points === '1.5', 'it has what the field has become');
  await table.quiet();
  // Nobody has changed anything.
  expect(await table.writes()).toBe(sent);
  await table.query(`UPDATE $table SET points = 'two' WHERE name = 'b'`);
  await table.query(`UPDATE $table SET width = 5 WHERE name = 'a'`);
  await table.quiet();
  const records = await byName(tableId, name);
  expect(records.get('a')).toMatchObject({ [points]: '1.5', [fieldId]: 5 });
  expect(records.get('b')).toMatchObject({ [points]: 'two', [fieldId]: 4 });

  await schema({ removeField: { tableId, fieldId } });
  await until(async () => (await columnOf(table, 'Width')) === undefined, 'the column was given up');
  const before = await table.writes();
  await table.query(`UPDATE $table SET width = 9 WHERE name = 'a'`);
  await table.quiet();
  expect(await table.row('a')).toMatchObject({ width: 9, points: '1.5' });
  expect(await table.writes()).toBe(before);
  await mutate(app, 'deleteSync', { id: table.syncId, dropTable: true });
});

test('rows and records with the same key are one, and what both have is a conflict', async () => {
  const [, tableId = ''] = upstream;
  await app.database.query(`CREATE TABLE crm.tasks (name text PRIMARY KEY, points numeric, note text)`);
  await app.database.query(
    `INSERT INTO crm.tasks VALUES ('both', 1, 'mine'), ('same', 2, 'mine'), ('only here', 3, 'mine')`,
  );
  await edit(tableId, {
    create: [
      { fields: { Name: 'both', Points: 5 } },
      { fields: { Name: 'same', Points: 2, Done: true } },
      { fields: { Name: 'only there', Points: 4 } },
    ],
  });
  const table = await TwoWayTable.make(app, connection, tableId, {
    table: 'crm.tasks',
    columns: [
      { field: 'Name', column: 'name' },
      { field: 'Points', column: 'points' },
    ],
    conflicts: 'OMNERA_WINS',
  });
  const expectSides = async (points: Record<string, number>) => {
    await table.quiet();
    const rows = await table.query('SELECT name, points::int FROM $table');
    expect(Object.fromEntries(rows.map((row) => [row.name, row.points]))).toEqual(points);
    const records = [...(await table.records()).values()];
    expect(Object.fromEntries(records.map((cells) => [cells['name'], cells['points']]))).toEqual(points);
    expect(records).toHaveLength(Object.keys(points).length);
  };
  await expectSides({ both: 1, same: 2, 'only here': 3, 'only there': 4 });
  expect(await table.conflicts()).toMatchObject([
    { kind: 'CELL', fieldName: 'Points', calendlyValue: 5, omneraValue: 1, winner: 'OMNERA' },
  ]);
  expect((await table.row('both')).note).toBe('mine');

  await unseen(
    table,
    `UPDATE $table SET points = 7 WHERE name = 'same'; DELETE FROM $table WHERE name = 'only there';
     INSERT INTO $table (name, points) VALUES ('unseen', 8)`,
  );
  expect(await reconciled(table)).toBeGreaterThan(0);
  // What nobody was seen deleting is made again.
  await expectSides({ both: 1, same: 7, 'only here': 3, 'only there': 4, unseen: 8 });
  await mutate(app, 'deleteSync', { id: table.syncId });
});

test('a sync whose rows do not show its new columns yet is not turned, and empties nothing in Calendly', async () => {
  const [, tableId = ''] = upstream;
  await app.database.query(`CREATE TABLE crm.turned (name text PRIMARY KEY, points numeric)`);
  const columns = [{ field: 'Name', column: 'name' }];
  const input = { direction: 'PULL', table: 'crm.turned', columns };
  const table = await TwoWayTable.make(app, connection, tableId, input);
  const records = () => upstreamRecords(app.sandbox.url, { baseId: crm.baseId, tableId });
  await edit(tableId, { create: [8, 9].map((n) => ({ fields: { Name: `turned ${n}`, Points: n } })) });
  await table.quiet();
  const before = await records();
  const update = (what: object) => mutate(app, 'updateSync', { id: table.syncId, ...what });
  const withPoints = [...columns, { field: 'Points', column: 'points' }];
  await mutate(app, 'pauseSync', { id: table.syncId });
  await update({ columns: withPoints });
  expect(await update({ direction: 'TWO_WAY' })).toMatchObject({
    code: 'INVALID_INPUT',
    message: expect.stringContaining('rows of crm.turned are being brought in step'),
  });
  await mutate(app, 'resumeSync', { id: table.syncId });
  await until(async () => !(await update({ direction: 'TWO_WAY' })).code, 'it may be turned');
  await table.quiet();
  expect(await records()).toEqual(before);
  // Who had looked when it was a pull still.
  const stored = await app.app.syncs.stored.get(table.syncId);
  const schema = await app.app.baseSchemas.get(connection, crm.baseId, operation());
  await expect(
    app.app.syncs.update(
      { ...stored, direction: 'pull' },
      { direction: null, conflicts: null, columns: { wishes: withPoints, table: schema.getTable(tableId) } },
    ),
  ).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  await mutate(app, 'deleteSync', { id: table.syncId });
});

test('a push takes the records that have the keys of rows, leaves the others alone, and sends rows again', async () => {
  const [, , tableId = ''] = upstream;
  await app.database.query(`CREATE TABLE crm.orders (name text PRIMARY KEY, points numeric)`);
  await app.database.query(`INSERT INTO crm.orders VALUES ('both', 1), ('only here', 2)`);
  await edit(tableId, {
    create: [
      { fields: { Name: 'both', Points: 5, Done: true } },
      { fields: { Name: 'only there', Points: 4 } },
    ],
  });
  const table = await TwoWayTable.make(app, connection, tableId, {
    direction: 'PUSH',
    table: 'crm.orders',
    columns: [
      { field: 'Name', column: 'name' },
      { field: 'Points', column: 'points' },
    ],
  });
  const expectRecords = async (points: Record<string, number>) => {
    await table.quiet();
    const records = [...(await byName(tableId, table.fields['name'] ?? '')).entries()];
    expect(
      Object.fromEntries(records.map(([name, one]) => [name, one[table.fields['points'] ?? '']])),
    ).toEqual(points);
    expect(await table.records()).toHaveProperty('size', Object.keys(points).length);
  };
  await expectRecords({ both: 1, 'only here': 2, 'only there': 4 });
  // A row that is made later is that record's as well.
  await table.query(`INSERT INTO $table VALUES ('only there', 6), ('new', 7)`);
  await expectRecords({ both: 1, 'only here': 2, 'only there': 6, new: 7 });
  const idOf = async (name: string) => (await table.recordOf(name)).id;
  const rows = await table.query('SELECT * FROM $table ORDER BY name');

  const sent = await table.writes();
  await edit(tableId, {
    create: [{ fields: { Name: 'theirs', Points: 9 } }],
    update: [{ id: await idOf('both'), fields: { Points: 50 } }],
    destroy: [await idOf('new')],
  });
  await expectRecords({ both: 50, 'only here': 2, 'only there': 6, theirs: 9 });
  expect(await table.writes()).toBe(sent);
  expect(await table.query('SELECT * FROM $table ORDER BY name')).toEqual(rows);
  await reconciled(table);
  await expectRecords({ both: 1, 'only here': 2, 'only there': 6, new: 7, theirs: 9 });
  await table.query(`DELETE FROM $table WHERE name IN ('new', 'both')`);
  await table.query(`INSERT INTO $table VALUES ('both', 3)`);
  await expectRecords({ both: 3, 'only here': 2, 'only there': 6, theirs: 9 });
  await mutate(app, 'deleteSync', { id: table.syncId });
});

test('what is on its way when an instance dies is neither doubled nor lost, whichever way it turns afterwards', async () => {
  const [, , , tableId = ''] = upstream;
  const table = await TwoWayTable.make(app, connection, tableId, {});
  await control(app.sandbox.url, 'faults', {
    match: { method: 'POST', path: `/v0/${crm.baseId}/**` },
    kind: 'delay',
    effect: 'after',
    delayMs: 60_000,
  });
  await table.query(
    `INSERT INTO $table (name, points) SELECT 'way ' || n, n FROM generate_series(1, 10) AS n`,
  );
  await until(async () => (await table.left()).sending === 10, 'all of them have left');
  await until(async () => (await table.records()).size === 10, 'all of them are there');
  // Nobody hears of it: whoever has sent them has lost the sync, and no longer tells that the writes are under way.
  const other = await app.another();
  try {
    await table.query(
      `UPDATE syncs SET holder = gen_random_uuid(), lease_until = clock_timestamp() WHERE id = $1`,
      [table.syncId],
    );
    await table.query(
      `UPDATE write_operations SET lease_until = clock_timestamp() - interval '1 s' WHERE finished_at IS NULL`,
    );
    await table.query(`UPDATE $table SET points = 20 WHERE name = 'way 2'`);
    await endFaults();
    await table.quiet();
  } finally {
    await other.close();
  }
  expect((await table.records()).size).toBe(10);
  const { omnera, calendly } = await table.sides();
  expect(omnera).toEqual(calendly);

  const turn = (direction: string) => mutate(app, 'updateSync', { id: table.syncId, direction });
  await turn('PULL');
  await table.quiet();
  const sent = await table.writes();
  await table.query(`UPDATE $table SET points = 30 WHERE name IN ('way 3', 'way 4')`);
  await table.edit({ update: [{ id: (await table.recordOf('way 4')).id, fields: { Points: 40 } }] });
  await until(async () => (await table.row('way 4')).points === 40, 'the table follows');
  expect(await table.writes()).toBe(sent);
  await turn('TWO_WAY');
  await table.quiet();
  expect([await table.recordOf('way 3'), await table.recordOf('way 4')]).toMatchObject([
    { points: 30 },
    { points: 40 },
  ]);
  expect((await table.records()).size).toBe(10);

  // One that was sent before a long pause: the server has forgotten the write, and would take its key for a new one.
  await mutate(app, 'pauseSync', { id: table.syncId });
  await table.query(`INSERT INTO $table (name, points) VALUES ('long ago', 11)`);
  await until(async () => (await table.left()).pending === 1, 'it is captured');
  await table.query(
    `WITH sent AS (DELETE FROM sync_pending WHERE sync_id = $1 RETURNING row_key)
     INSERT INTO sync_writes (sync_id, batch, kind, row_key, cells, sent_at)
     SELECT $1, gen_random_uuid(), 'create', row_key, $2, clock_timestamp() - interval '25 h' FROM sent`,
    [
      table.syncId,
      JSON.stringify({ [table.fields['name'] ?? '']: 'long ago', [table.fields['points'] ?? '']: 11 }),
    ],
  );
  const [made = ''] = await table.edit({ create: [{ fields: { Name: 'long ago', Points: 11 } }] });
  await mutate(app, 'resumeSync', { id: table.syncId });
  await table.quiet();
  expect((await table.records()).size).toBe(11);
  expect((await table.row('long ago'))._calendly_id).toBe(made);
  await mutate(app, 'deleteSync', { id: table.syncId, dropTable: true });
});

test('what has not left when a sync turns to PULL never leaves, and what has is followed to its end', async () => {
  const [, , , tableId = ''] = upstream;
  const table = await TwoWayTable.make(app, connection, tableId, {});
  const before = { records: (await table.records()).size, writes: await table.writes() };
  await control(app.sandbox.url, 'pings', { drop: true });
  await control(app.sandbox.url, 'faults', {
    match: { method: 'POST', path: `/v0/${crm.baseId}/**` },
    kind: 'delay',
    effect: 'after',
    delayMs: 60_000,
    times: null,
  });
  await table.query(`INSERT INTO $table (name) SELECT 'many ' || n FROM generate_series(1, 100) AS n`);
  await until(async () => (await table.left()).sending === 40, 'as many are under way as may at once');
  await until(async () => (await table.writes()) === before.writes + 4, 'they are there');
  // One of the answers is lost.
  await table.query(
    `UPDATE sync_writes SET state = 'unknown', ended_at = clock_timestamp()
     WHERE batch = (SELECT batch FROM sync_writes WHERE sync_id = $1 LIMIT 1)`,
    [table.syncId],
  );
  await mutate(app, 'updateSync', { id: table.syncId, direction: 'PULL' });
  await endFaults();
  await control(app.sandbox.url, 'pings', { drop: false });
  await table.query('UPDATE webhooks SET drain_wanted_at = clock_timestamp()');
  await table.quiet();
  expect(await table.writes()).toBe(before.writes + 4);
  expect((await table.records()).size).toBe(before.records + 40);
  // Of each record one row; the others are nobody's.
  const [rows] = await table.query(
    'SELECT count(*)::int AS all, count(DISTINCT _calendly_id)::int AS records FROM $table',
  );
  expect(rows).toEqual({ all: before.records + 100, records: before.records + 40 });
  await mutate(app, 'deleteSync', { id: table.syncId, dropTable: true });
});

test('a value of a new field that its column refuses stays in Calendly, a deletion stays one, and TRUNCATE deletes all', async () => {
  const [, , , , tableId = ''] = upstream;
  const table = await TwoWayTable.make(app, connection, tableId, {});
  const { name: nameId = '' } = table.fields;
  const addField = { tableId, name: 'Size', type: 'number', options: { precision: 0 } };
  // Not followed before the row was deleted, and its deletion not heard of before that.
  await mutate(app, 'pauseSync', { id: table.syncId });
  await table.query(`DELETE FROM $table WHERE name = 'c'`);
  const { fieldId } = await control<{ fieldId: string }>(app.sandbox.url, 'schema', {
    baseId: crm.baseId,
    addField,
  });
  await mutate(app, 'resumeSync', { id: table.syncId });
  await until(async () => (await columnOf(table, 'Size'))?.column === 'size', 'the new field has a column');
  await table.quiet();
  expect([...(await byName(tableId, nameId)).keys()].sort()).toEqual(['a', 'b']);
  expect(await table.query('SELECT name FROM $table ORDER BY 1')).toEqual([{ name: 'a' }, { name: 'b' }]);

  await table.query(`CREATE FUNCTION crm.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF to_jsonb(NEW) ->> 'width' = '7' THEN RAISE EXCEPTION 'too wide'; END IF; RETURN NEW; END $$`);
  await table.query(
    'CREATE TRIGGER refuse BEFORE UPDATE ON $table FOR EACH ROW EXECUTE FUNCTION crm.refuse()',
  );
  const unread = { match: { method: 'GET', path: `/v0/meta/bases/${crm.baseId}/tables` }, status: 500 };
  await control(app.sandbox.url, 'faults', { ...unread, times: null });
  const { fieldId: width } = await control<{ fieldId: string }>(app.sandbox.url, 'schema', {
    baseId: crm.baseId,
    addField: { ...addField, name: 'Width' },
  });
  await edit(tableId, { update: [{ id: (await table.recordOf('b')).id, fields: { Width: 7 } }] });
  const isKnown = () =>
    table.query('SELECT 1 FROM copied_records WHERE sync_id = $1 AND cells ? $2', [table.syncId, width]);
  await until(async () => (await isKnown()).length > 0, 'the cell is known, and not its field');
  await endFaults();
  await until(async () => (await columnOf(table, 'Width'))?.column === 'width', 'the field has a column');
  await table.quiet();
  expect((await byName(tableId, nameId)).get('b')).toMatchObject({ [width]: 7 });
  expect((await readSync(app, table.syncId)).parked.nodes).toMatchObject([
    { message: expect.stringContaining('too wide') },
  ]);
  await edit(tableId, { update: [{ id: (await table.recordOf('b')).id, fields: { Width: 8, Size: 1 } }] });
  await until(async () => (await table.row('b')).width === 8, 'what is not refused is written');
  expect((await byName(tableId, nameId)).get('b')).toMatchObject({ [width]: 8, [fieldId]: 1 });

  // One change is refused, and of a creation nobody knows what became of it.
  await table.query(`UPDATE $table SET kind = 'No such choice' WHERE name = 'a'`);
  const refused = () => table.query('SELECT 1 FROM sync_pending WHERE parked_at IS NOT NULL');
  await until(async () => (await refused()).length > 0, 'the change is refused');
  await control(app.sandbox.url, 'faults', {
    match: { method: 'GET', path: '/v0/bases/*/webhooks/*/payloads' },
    kind: 'delay',
    delayMs: 60_000,
  });
  await control(app.sandbox.url, 'faults', {
    match: { method: 'POST', path: `/v0/${crm.baseId}/**` },
    times: 1,
    kind: 'reset',
    effect: 'after',
  });
  await table.query(`INSERT INTO $table (name) VALUES ('unknown')`);
  await until(async () => (await table.left()).unknown === 1, 'the creation has got no answer');
  await table.query('TRUNCATE $table');
  await table.query(`INSERT INTO $table (name) VALUES ('afterwards')`);
  await until(async () => (await table.left()).captured === 0, 'that was captured');
  await endFaults();
  await table.quiet();
  expect([...(await byName(tableId, nameId)).keys()]).toEqual(['afterwards']);
  expect(await table.query('SELECT name FROM $table')).toEqual([{ name: 'afterwards' }]);
  await mutate(app, 'deleteSync', { id: table.syncId, dropTable: true });
});
