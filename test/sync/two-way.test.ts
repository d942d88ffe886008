import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { crm, mutate, readSync, until } from './sync-app.ts';
import { TwoWayTable } from './two-way-table.ts';

let app: TestApp;
let connection: number;
let table: TwoWayTable;
let other: TwoWayTable;

beforeAll(async () => {
  app = await startTestApp({ lookEveryMs: 50 });
  connection = await app.connect();
  const [first, second] = [
    await TwoWayTable.upstream(app, ['there before']),
    await TwoWayTable.upstream(app),
  ];
  table = await TwoWayTable.make(app, connection, first, { conflicts: 'CALENDLY_WINS' });
  other = await TwoWayTable.make(app, connection, second, { conflicts: 'OMNERA_WINS' });
});
afterAll(() => app.close());
afterEach(endFaults);

async function endFaults(): Promise<void> {
  await fetch(`${app.sandbox.url}/_control/faults`, { method: 'DELETE' });
}

async function expectInStep(of: TwoWayTable = table): Promise<void> {
  await of.quiet();
  const { omnera, calendly } = await of.sides();
  expect(omnera).toEqual(calendly);
}

const fault = (method: string, rest: object) =>
  control(app.sandbox.url, 'faults', { match: { method, path: `/v0/${crm.baseId}/**` }, times: 1, ...rest });

describe('what is changed in the table', () => {
  test('is sent: a new row, a change and a deletion, once each, and nothing of it comes back', async () => {
    await table.quiet();
    const before = await table.writes();
    await table.query(`INSERT INTO $table (name, points, done, due, kind, tags)
                       VALUES ('mine', 1.5, true, '2026-05-01', 'Bug', '{a,c}')`);
    await expectInStep();
    expect(await table.recordOf('mine')).toMatchObject({
      points: 1.5,
      done: true,
      due: '2026-05-01',
      kind: 'Bug',
      tags: ['a', 'c'],
    });
    const { _calendly_id: id } = await table.row('mine');
    expect(id).toMatch(/^rec/);
    await table.query(`UPDATE $table SET points = 2, done = false, tags = '{}' WHERE name = 'mine'`);
    await expectInStep();
    expect(await table.recordOf('mine')).not.toHaveProperty('done');
    expect(await table.writes()).toBe(before + 2);
    // What comes to the same is nothing to send.
    await table.query(`UPDATE $table SET due = NULL WHERE name = 'mine'`);
    await table.query(`UPDATE $table SET due = '2026-05-01', done = NULL WHERE name = 'mine'`);
    await expectInStep();
    expect(await table.writes()).toBeLessThanOrEqual(before + 4);
    const sent = await table.writes();
    await table.query(`DELETE FROM $table WHERE name = 'mine'`);
    await expectInStep();
    expect(await table.writes()).toBe(sent + 1);
    expect([...(await table.records()).keys()]).not.toContain(id);
  });

  test('leaves in tens, and what the upstream tells is not sent back', async () => {
    const before = await table.writes();
    await table.query(`INSERT INTO $table (name) SELECT 'many ' || n FROM generate_series(1, 25) AS n`);
    await expectInStep();
    expect(await table.writes()).toBe(before + 3);
    await table.edit({ create: [{ fields: { Name: 'theirs' } }] });
    const { id } = await table.recordOf('theirs');
    await table.edit({ update: [{ id, fields: { Points: 3 } }] });
    await expectInStep();
    await table.edit({ destroy: [id] });
    await expectInStep();
    expect(await table.writes()).toBe(before + 3);
  });

  test('is refused by itself, with the reason, until it is changed again', async () => {
    await table.query(
      `INSERT INTO $table (name, kind) VALUES ('good', 'Bug'), ('bad', 'No such choice'), ('fine', NULL)`,
    );
    await table.quiet();
    const refused = async () => {
      const { data } = await app.graphql(
        `query ($id: String!) { sync(id: $id) { unsentCount refused { nodes { recordId rowKey code message } } } }`,
        { id: table.syncId },
      );
      return data.sync;
    };
    const { nodes } = (await refused()).refused;
    expect(nodes).toMatchObject([{ recordId: null, code: 'INVALID_INPUT' }]);
    expect(nodes[0].message).toContain('No such choice');
    const names = [...(await table.records()).values()].map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['good', 'fine']));
    expect(names).not.toContain('bad');
    await table.query(`UPDATE $table SET kind = 'Chore' WHERE name = 'bad'`);
    await expectInStep();
    expect((await refused()).refused.nodes).toEqual([]);
  });

  test('keeps its record when its primary key changes', async () => {
    const { id } = await table.recordOf('good');
    await table.query(`UPDATE $table SET _id = _id + 1000000, name = 'moved' WHERE name = 'good'`);
    await expectInStep();
    expect((await table.recordOf('moved')).id).toBe(id);
  });

  test('is not doubled by a lost answer', async () => {
    const before = (await table.records()).size;
    for (const effect of ['after', 'before'] as const) {
      await fault('POST', { kind: 'reset', effect });
      await table.query('INSERT INTO $table (name) VALUES ($1)', [`lost ${effect}`]);
      await expectInStep();
    }
    expect((await table.records()).size).toBe(before + 2);
  });

  test('is not doubled where its row is changed before it is known what became of it', async () => {
    const before = (await table.records()).size;
    await control(app.sandbox.url, 'faults', {
      match: { method: 'GET', path: '/v0/bases/*/webhooks/*/payloads' },
      kind: 'delay',
      delayMs: 60_000,
    });
    await fault('POST', { kind: 'reset', effect: 'after' });
    await table.query(`INSERT INTO $table (name, points) VALUES ('unknown', 1)`);
    await until(async () => (await table.left()).unknown === 1, 'the creation has got no answer');
    await table.query(`UPDATE $table SET points = 2 WHERE name = 'unknown'`);
    await until(async () => (await table.left()).pending === 1, 'the change was captured');
    await endFaults();
    await expectInStep();
    expect(await table.recordOf('unknown')).toMatchObject({ points: 2 });
    expect((await table.records()).size).toBe(before + 1);
  });
});

test('a change that is forbidden is sent by itself, and "problem" says what keeps changes from being sent', async () => {
  await other.query(`INSERT INTO $table (name) VALUES ('one'), ('two')`);
  await other.quiet();
  const before = await other.writes();
  // As it is told of a record that was deleted, and of all that are sent with it.
  const forbidden = { status: 403, body: { error: { type: 'INVALID_PERMISSIONS', message: 'No' } } };
  await fault('PATCH', forbidden);
  await other.query(`UPDATE $table SET points = 1`);
  await expectInStep(other);
  expect(await other.writes()).toBe(before + 2);
  const problem = async () => (await readSync(app, other.syncId)).problem;
  expect(await problem()).toBeNull();
  await fault('PATCH', { ...forbidden, times: null });
  await other.query(`UPDATE $table SET points = 2`);
  expect(await until(problem, 'it is told')).toContain('can not be sent');
});

describe('what both sides change', () => {
  /** Changes of the table that nobody can know of before the upstream has its own. */
  async function meanwhile(of: TwoWayTable, text: string, upstream: () => Promise<unknown>): Promise<void> {
    const client = new (await import('pg')).default.Client({ connectionString: app.database.url });
    await client.connect();
    try {
      await client.query('BEGIN');
      await client.query(text.replaceAll('$table', of.table));
      await upstream();
      await client.query('COMMIT');
    } finally {
      await client.end();
    }
  }

  test.each(['CALENDLY_WINS', 'OMNERA_WINS'])(
    'is decided cell by cell, and listed (%s)',
    async (conflicts) => {
      const of = conflicts === 'CALENDLY_WINS' ? table : other;
      await of.query(
        `INSERT INTO $table (name, points) VALUES ('both', 1), ('deleted here', 1), ('deleted there', 1)`,
      );
      await expectInStep(of);
      const ids = Object.fromEntries(
        await Promise.all(
          ['both', 'deleted here', 'deleted there'].map(async (name) => [name, (await of.recordOf(name)).id]),
        ),
      ) as Record<string, string>;
      const earlier = (await of.conflicts()).length;
      await meanwhile(
        of,
        `UPDATE $table SET points = 2, done = true WHERE name = 'both';
       DELETE FROM $table WHERE name = 'deleted here';
       UPDATE $table SET points = 5 WHERE name = 'deleted there'`,
        () =>
          of.edit({
            update: [
              { id: ids['both'], fields: { Points: 3, Due: '2026-06-01' } },
              { id: ids['deleted here'], fields: { Points: 4 } },
            ],
            destroy: [ids['deleted there']],
          }),
      );
      await expectInStep(of);
      const calendlyWins = conflicts === 'CALENDLY_WINS';
      expect(await of.row('both')).toMatchObject({
        points: calendlyWins ? 3 : 2,
        done: true,
        due: '2026-06-01',
      });
      expect((await of.row('deleted here'))?.points ?? null).toBe(calendlyWins ? 4 : null);
      expect((await of.row('deleted there'))?.points ?? null).toBe(calendlyWins ? null : 5);
      const listed = (await of.conflicts()).slice(0, (await of.conflicts()).length - earlier);
      const points = of.fields['points'] ?? '';
      const winner = calendlyWins ? 'CALENDLY' : 'OMNERA';
      const expected = [
        {
          kind: 'CELL',
          recordId: ids['both'],
          fieldName: 'Points',
          calendlyValue: 3,
          omneraValue: 2,
          winner,
        },
        {
          kind: 'DELETED_BY_OMNERA',
          recordId: ids['deleted here'],
          calendlyValue: { [points]: 4 },
          omneraValue: null,
          winner,
        },
        {
          kind: 'DELETED_BY_CALENDLY',
          recordId: ids['deleted there'],
          calendlyValue: null,
          omneraValue: { [points]: 5 },
          winner,
        },
      ];
      expect(listed).toHaveLength(3);
      expect(listed).toEqual(expect.arrayContaining(expected.map((one) => expect.objectContaining(one))));
    },
  );
});

test('a table that is no longer kept in step is not captured any more', async () => {
  await other.quiet();
  await until(
    async () => (await readSync(app, other.syncId)).problem === null,
    'nothing is in the way any more',
  );
  const { tgcount } = (await triggers())[0] ?? {};
  expect(tgcount).toBe(3);
  await mutate(app, 'deleteSync', { id: table.syncId });
  expect((await triggers())[0]).toBeUndefined();
  await table.query(`INSERT INTO $table (name) VALUES ('alone')`);
  const [left] = await table.query('SELECT count(*)::int AS count FROM sync_outbox WHERE sync_id = $1', [
    table.syncId,
  ]);
  expect(left.count).toBe(0);

  function triggers() {
    return table.query(
      `SELECT count(*)::int AS tgcount FROM pg_trigger WHERE tgrelid = to_regclass($1) AND tgname LIKE 'calendly_sync_%' HAVING count(*) > 0`,
      [table.table],
    );
  }
});
