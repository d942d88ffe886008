import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { CallMeter } from '../../src/calendly/operation.ts';
import { Comparison } from '../../src/sync/pull/comparison.ts';
import { SyncLost } from '../../src/sync/sync-lease.ts';
import { SyncLeases } from '../../src/sync/sync-leases.ts';
import { SyncResumption } from '../../src/sync/sync-resumption.ts';
import { control, startTestApp, type TestApp, type UntypedData } from '../support/app.ts';
import { createSync, crm, expectEqual, mutate, readSync, settled, until } from './sync-app.ts';

let app: TestApp;
let connection: number;
let items: string;
let ids: string[];
/** Of the app's clock. */
let aheadMs = 0;

beforeAll(async () => {
  app = await startTestApp({ lookEveryMs: 50, clock: { now: () => Date.now() + aheadMs } });
  await query('CREATE SCHEMA crm');
  connection = await app.connect();
  const text = (name: string) => ({ name, type: 'singleLineText' });
  const addTable = { name: 'Items', fields: [text('Name'), text('Code'), text('Parent')] };
  const made = await control<{ tableId: string }>(app.sandbox.url, 'schema', {
    baseId: crm.baseId,
    addTable,
  });
  items = made.tableId;
  ids = await edit({ create: ['a', 'b', 'c', 'd', 'e'].map((Code) => ({ fields: { Name: Code, Code } })) });
});
afterAll(() => app.close());

const query = (text: string, params?: unknown[]): Promise<UntypedData[]> => app.database.query(text, params);

/** A person edits the items in the service's own pages. @returns ids of what was created */
async function edit(what: object): Promise<string[]> {
  const given = { baseId: crm.baseId, tableId: items, ...what };
  return (await control<{ created: string[] }>(app.sandbox.url, 'edits', given)).created;
}

/** What every listing of the items is answered with from here on. @returns ends that */
async function answerListings(fault: object): Promise<() => Promise<void>> {
  const { id } = await control<{ id: string }>(app.sandbox.url, 'faults', {
    match: { method: 'GET', path: `/v0/${crm.baseId}/${items}` },
    status: 200,
    ...fault,
  });
  return async () => void (await fetch(`${app.sandbox.url}/_control/faults?id=${id}`, { method: 'DELETE' }));
}

/** Has the table read again. @returns the sync, once it was */
async function reconciled(id: string): Promise<UntypedData> {
  const { lastReconciledAt } = await readSync(app, id);
  await mutate(app, 'reconcileSync', { id });
  return readAgain(id, lastReconciledAt);
}

function readAgain(id: string, since: string): Promise<UntypedData> {
  return until(async () => {
    const sync = await readSync(app, id);
    return sync.lastReconciledAt > since && sync;
  }, `${id} is read again`);
}

describe('a listing that slips', () => {
  let id: string;
  let table: string;
  let before: UntypedData[];
  const rows = () => query(`SELECT _id, _calendly_id FROM ${table} ORDER BY _id`);

  beforeAll(async () => {
    // An empty answer is asked for again.
    await answerListings({ body: { records: [] }, times: 1 });
    const made = await createSync(app, connection, { tableId: items });
    ({ id, table } = made);
    await settled(app, id);
    before = await rows();
    expect(before).toHaveLength(5);
  });

  it('costs no row: what it lacks is asked for by id', async () => {
    await answerListings({ body: { records: [] }, times: 2 });
    expect((await reconciled(id)).driftFound).toBe(0);
    expect(await rows()).toEqual(before);
  });

  it('deletes nothing that the log tells of without its cells, and is made up for', async () => {
    const { lastReconciledAt } = await readSync(app, id);
    await mutate(app, 'pauseSync', { id });
    await edit({ update: [{ id: ids[0], fields: { Name: 'told in part' } }] });
    await query('UPDATE webhooks SET drain_wanted_at = clock_timestamp()');
    const withoutCells = () =>
      query(`UPDATE changes SET cells = NULL WHERE record_id = $1 AND kind = 'updated' RETURNING 1`, [
        ids[0],
      ]);
    await until(async () => (await withoutCells()).length > 0, 'the log tells of it');
    await answerListings({ body: { records: [] }, times: 1 });
    await mutate(app, 'resumeSync', { id });
    expect((await readAgain(id, lastReconciledAt)).driftFound).toBe(1);
    expect(await rows()).toEqual(before);
    await expectEqual(app, await settled(app, id), { baseId: crm.baseId, tableId: items });
  });

  it('is not borne out by lookups that lack what was just listed', async () => {
    const { lastReconciledAt } = await readSync(app, id);
    const [listed] = await query(
      'SELECT record_id AS id, created_time AS "createdTime", cells AS fields FROM copied_records WHERE sync_id = $1 LIMIT 1',
      [id],
    );
    await answerListings({ body: { records: [listed] }, times: 1 });
    const mend = await answerListings({ body: { records: [] }, times: null });
    await mutate(app, 'reconcileSync', { id });
    await until(async () => (await readSync(app, id)).problem?.includes('by their ids'), 'it is told');
    expect(await rows()).toEqual(before);
    await mend();
    expect((await readAgain(id, lastReconciledAt)).driftFound).toBe(0);
    await until(async () => (await readSync(app, id)).problem === null, 'nothing is in the way any more');
    expect(await rows()).toEqual(before);
  });

  it('pauses the sync when nothing is left, or most is missing, until somebody lets it be deleted', async () => {
    const { lastReconciledAt } = await readSync(app, id);
    const mend = await answerListings({ body: { records: [] }, times: null });
    await mutate(app, 'reconcileSync', { id });
    const missing = () =>
      until(async () => (await readSync(app, id)).pausedBecause === 'RECORDS_MISSING', 'it is paused');
    await missing();
    expect((await readSync(app, id)).problem).toContain('Of 5 records 5 are missing');
    expect(await rows()).toEqual(before);
    await mend();
    await mutate(app, 'resumeSync', { id });
    const { lastReconciledAt: second } = await readAgain(id, lastReconciledAt);
    expect(await rows()).toEqual(before);

    await query(
      `INSERT INTO copied_records (sync_id, record_id, created_time, cells)
       SELECT $1, 'recGhost' || n, now(), '{}' FROM generate_series(1, 150) AS n`,
      [id],
    );
    await mutate(app, 'reconcileSync', { id });
    await missing();
    await mutate(app, 'resumeSync', { id });
    expect((await readAgain(id, second)).driftFound).toBe(150);
    await expectEqual(app, await settled(app, id), { baseId: crm.baseId, tableId: items });
  });
});

it('repairs what differs in small transactions, and tries rows again that name others at the end of a fill', async () => {
  await query(`CREATE TABLE crm.chain (code text PRIMARY KEY, parent text REFERENCES crm.chain, name text)`);
  const many: { fields: Record<string, string> }[] = Array.from({ length: 600 }, (_, n) => ({
    fields: { Name: 'x', Code: `k${n}` },
  }));
  // Across pages, whatever their order.
  for (const n of [1, 2, 3]) {
    many[n]!.fields['Parent'] = `k${599 - n}`;
    many[590 + n]!.fields['Parent'] = `k${n + 10}`;
  }
  const made = await edit({ create: many });
  const columns = ['code', 'parent', 'name'].map((column) => ({
    column,
    field: column[0]!.toUpperCase() + column.slice(1),
  }));
  const { id } = await createSync(app, connection, { tableId: items, table: 'crm.chain', columns });
  expect((await settled(app, id)).parkedCount).toBe(0);
  await query(`UPDATE copied_records SET cells = cells - 'x' || '{"fldOther": 1}' WHERE sync_id = $1`, [id]);
  // Held up in the middle, to see how far it is.
  const mend = await answerListings({ kind: 'delay', delayMs: 60_000, times: null, after: 3 });
  const { lastReconciledAt } = await readSync(app, id);
  await mutate(app, 'reconcileSync', { id });
  const { progress } = await until(async () => {
    const sync = await readSync(app, id);
    return sync.progress.phase === 'RECONCILING' && sync.progress.recordsDone >= 300 && sync;
  }, 'half of it was read');
  expect(progress).toMatchObject({ recordsDone: 300, recordsExpected: 605 });
  const [{ spent }] = await query(
    'SELECT extract(epoch FROM clock_timestamp() - run_started_at) * 1000 AS spent FROM syncs WHERE id = $1',
    [id],
  );
  expect(progress.timeLeftMs).toBeGreaterThan(0);
  // Of 605, 300 were read in that time.
  expect(progress.timeLeftMs).toBeLessThanOrEqual(Math.ceil((Number(spent) * 305) / 300));
  await mend();
  expect((await readAgain(id, lastReconciledAt)).driftFound).toBe(605);
  const [row] = await query(
    'SELECT max(n)::int AS most FROM (SELECT count(*) AS n FROM copied_records WHERE sync_id = $1 GROUP BY xmin::text) AS by',
    [id],
  );
  expect(row.most).toBeLessThanOrEqual(500);
  await mutate(app, 'deleteSync', { id });
  await edit({ destroy: made });
});

it('tries a row again that names one of another sync, once that is there', async () => {
  await query(
    `CREATE TABLE crm.parents (code text PRIMARY KEY); CREATE TABLE crm.children (id serial PRIMARY KEY, code text REFERENCES crm.parents)`,
  );
  const columns = [{ field: 'Code', column: 'code' }];
  const children = await createSync(app, connection, { tableId: items, table: 'crm.children', columns });
  expect((await settled(app, children.id)).parkedCount).toBe(5);
  const parents = await createSync(app, connection, { tableId: items, table: 'crm.parents', columns });
  await settled(app, parents.id);
  await until(
    async () => (await readSync(app, children.id)).parkedCount === 0,
    'the children found their parents',
  );
  expect(await query('SELECT count(*)::int AS n FROM crm.children')).toEqual([{ n: 5 }]);
  for (const { id } of [children, parents]) await mutate(app, 'deleteSync', { id });
});

it('follows fields without making anybody wait for the table, and says who is in the way', async () => {
  const { id, table } = await createSync(app, connection, { tableId: items });
  await settled(app, id);
  const reader = new pg.Client({ connectionString: app.database.url });
  await reader.connect();
  await reader.query(`BEGIN; SELECT * FROM ${table}`);
  const addField = { tableId: items, name: 'Later', type: 'number', options: { precision: 0 } };
  await control(app.sandbox.url, 'schema', { baseId: crm.baseId, addField });
  const { problem } = await until(async () => {
    const sync = await readSync(app, id);
    return sync.problem && sync;
  }, 'it says what it waits for');
  expect(problem).toMatch(/holds the table/);
  expect(problem).toContain('process ');
  // Others read, and changes flow on.
  const [made] = await edit({ create: [{ fields: { Name: 'meanwhile' } }] });
  await until(
    async () => (await query(`SELECT 1 FROM ${table} WHERE _calendly_id = $1`, [made])).length > 0,
    'a change is there',
  );
  await reader.query('COMMIT');
  await reader.end();
  await until(async () => {
    const sync = await readSync(app, id);
    return sync.problem === null && sync.columns.some(({ column }: UntypedData) => column === 'later');
  }, 'the column is there');
  await mutate(app, 'deleteSync', { id, dropTable: true });
  await edit({ destroy: [made] });
});

describe('while the upstream is slow', () => {
  it('gets a webhook again that was deleted during the fill', async () => {
    const mend = await answerListings({ kind: 'delay', delayMs: 60_000, times: null });
    const { id } = await createSync(app, connection, { tableId: items });
    const [{ id: webhook }] = await query(`SELECT id FROM webhooks WHERE state = 'active'`);
    const { data } = await app.graphql(
      `mutation ($id: String!) { deleteWebhook(input: { id: $id }) { __typename } }`,
      { id: webhook },
    );
    expect(data?.deleteWebhook.__typename).toBe('DeleteWebhookSuccess');
    await query(`UPDATE webhooks SET ended_at = ended_at - interval '1 minute' WHERE state = 'deleted'`);
    await mend();
    await settled(app, id);
    await expectEqual(app, await readSync(app, id), { baseId: crm.baseId, tableId: items });
    await mutate(app, 'deleteSync', { id, dropTable: true });
  });

  it('keeps what it holds: leases are renewed beside its checks', async () => {
    const { id } = await createSync(app, connection, { tableId: items });
    await settled(app, id);
    const { id: fault } = await control<{ id: string }>(app.sandbox.url, 'faults', {
      match: { path: `/v0/meta/bases**` },
      kind: 'delay',
      delayMs: 60_000,
    });
    // What was proven is believed for ten minutes.
    aheadMs = 11 * 60_000;
    await query(`UPDATE syncs SET checked_at = '-infinity'`);
    const applied = async () => {
      const { faults } = await control<UntypedData>(app.sandbox.url, 'faults');
      return faults.find((one: UntypedData) => one.id === fault)?.applied > 0;
    };
    await until(applied, 'a check waits for its answer');
    const lease = async () =>
      Number((await query('SELECT lease_until FROM syncs WHERE id = $1', [id]))[0].lease_until);
    const before = await lease();
    await until(async () => (await lease()) > before, 'the lease is renewed', 5_000);
    // And so is everything else that is looked after.
    await mutate(app, 'pauseSync', { id });
    await query(`INSERT INTO sync_outbox (sync_id, new_key) VALUES ($1, '{1}')`, [id]);
    const captured = () => query('SELECT 1 FROM sync_outbox WHERE sync_id = $1', [id]);
    await until(async () => (await captured()).length === 0, 'what was captured is folded', 5_000);
    expect(await applied()).toBe(true);
    await fetch(`${app.sandbox.url}/_control/faults?id=${fault}`, { method: 'DELETE' });
    await mutate(app, 'deleteSync', { id, dropTable: true });
  });
});

it('folds what is captured while it is paused: a row is pending once, however often it is changed', async () => {
  const { id, table } = await createSync(app, connection, { tableId: items, direction: 'TWO_WAY' });
  await settled(app, id);
  await mutate(app, 'pauseSync', { id });
  for (let turn = 0; turn < 5; turn += 1)
    await query(`UPDATE ${table} SET name = 'turn ${turn}' WHERE code = 'a'`);
  await until(
    async () => (await query('SELECT 1 FROM sync_outbox WHERE sync_id = $1', [id])).length === 0,
    'what was captured is folded',
  );
  expect(await query('SELECT record_id FROM sync_pending WHERE sync_id = $1', [id])).toEqual([
    { record_id: ids[0] },
  ]);
  await mutate(app, 'resumeSync', { id });
  await until(
    async () => (await query('SELECT 1 FROM sync_pending WHERE sync_id = $1', [id])).length === 0,
    'it is sent',
  );
  await mutate(app, 'deleteSync', { id, dropTable: true });
});

it('stands still for whoever pauses it in the moment in which it would go on by itself', async () => {
  const { id } = await createSync(app, connection, { tableId: items });
  await settled(app, id);
  const { database, syncs, changeLog: log, webhooks, clock } = app.app;
  const operation = {
    callerId: 'syncs',
    priority: 'background' as const,
    deadline: Date.now() + 30_000,
    meter: new CallMeter(),
  };
  const byItself = (meanwhile: () => Promise<unknown>) =>
    new SyncResumption({
      database,
      stored: syncs.stored,
      log,
      clock,
      async ensureFeed(...base) {
        const { feed } = await webhooks.ensure(...base);
        await meanwhile();
        return feed;
      },
    }).byItself(id, operation);
  const pausedByItself = () =>
    query(
      `UPDATE syncs SET state = 'paused', paused_because = 'BASE_OUT_OF_REACH', holder = NULL, checked_at = clock_timestamp() WHERE id = $1`,
      [id],
    );
  const pause = () => mutate(app, 'pauseSync', { id });
  const expectPaused = async () =>
    expect(await readSync(app, id)).toMatchObject({ state: 'PAUSED', pausedBecause: 'BY_HAND' });

  // Before: whoever resumes has seen it paused for another reason.
  await pausedByItself();
  expect(await byItself(pause)).toBe(false);
  await expectPaused();

  // Behind: whoever pauses waits for the row, and has the last word.
  await pausedByItself();
  const other = new pg.Client({ connectionString: app.database.url });
  await other.connect();
  await other.query('BEGIN');
  await other.query('SELECT 1 FROM syncs WHERE id = $1 FOR UPDATE', [id]);
  const waiting = (count: number) =>
    until(async () => {
      const rows = await query(
        `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%syncs%'`,
      );
      return rows.length >= count;
    }, `${count} wait for the row`);
  const resumed = byItself(() => Promise.resolve());
  await waiting(1);
  const paused = pause();
  await waiting(2);
  await other.query('COMMIT');
  await other.end();
  expect(await resumed).toBe(true);
  await paused;
  await expectPaused();
  await mutate(app, 'deleteSync', { id, dropTable: true });
});

it('drops what an instance has read before another one had the sync, though it holds it again', async () => {
  const { id } = await createSync(app, connection, { tableId: items });
  await settled(app, id);
  // From here on nobody works at it but the two below.
  await app.app.syncs.close();
  const [ours, theirs] = [randomUUID(), randomUUID()].map(
    (holder) => new SyncLeases(app.app.database, holder),
  ) as [SyncLeases, SyncLeases];
  const take = async (leases: SyncLeases) => {
    const held = (await leases.claim(100)).find((one) => one.id === id);
    if (!held) throw new Error('The sync is held by somebody else.');
    return leases.lease(held);
  };
  const copied = async () =>
    (
      await query('SELECT cells, created_time AS created FROM copied_records WHERE record_id = $1', [ids[0]])
    )[0];
  const { cells: before, created } = await copied();
  const lease = await take(ours);
  const comparison = new Comparison({ lease, clock: Date, catchUp: () => Promise.resolve() });
  comparison.begin('page');
  const record = {
    id: ids[0] ?? '',
    createdTime: created.toISOString(),
    fields: { ...before, fldOther: 'old' },
  };
  await comparison.compare('page', [record]);
  expect((await take(ours)).number).toBe(lease.number);

  await query(`UPDATE syncs SET lease_until = clock_timestamp() - interval '1 s'`);
  await take(theirs);
  await theirs.releaseAll();
  expect((await take(ours)).number).toBe(lease.number + 2);
  await expect(comparison.end('page')).rejects.toBeInstanceOf(SyncLost);
  await expect(lease.read()).rejects.toBeInstanceOf(SyncLost);
  expect((await copied()).cells).toEqual(before);
});
