import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

describe('reading the audit log', () => {
  beforeAll(async () => {
    await app.database.query(
      `INSERT INTO audit_entries (at, actor_id, actor_name, action, connection_id, target, outcome)
       SELECT '2020-01-01T00:00:00Z'::timestamptz + make_interval(days => n / 2), 'key:' || 100 + n % 3, 'Somebody',
              CASE n % 2 WHEN 0 THEN 'even' ELSE 'odd' END, 1 + n % 4, CASE n % 5 WHEN 0 THEN 'appA/tblB' WHEN 1 THEN 'appC' END, 'ok'
       FROM generate_series(1, 24) AS n`,
    );
  });

  const read = (args: string, key = app.adminKey) =>
    app.graphql(
      `{ auditLog(${args}) { nodes { id at actor { id } action connectionId target } pageInfo { hasNextPage endCursor } } }`,
      {},
      { key },
    );
  const old = 'until: "2021-01-01T00:00:00Z"';

  test('pages meet each entry once, newest first', async () => {
    const ids: string[] = [];
    let after = '';
    for (let more = true; more;) {
      const { data } = await read(`first: 5, ${old}${after}`);
      ids.push(...data.auditLog.nodes.map((node: { id: string }) => node.id));
      more = data.auditLog.pageInfo.hasNextPage;
      after = `, after: "${data.auditLog.pageInfo.endCursor}"`;
    }
    const all = await app.database.query(
      `SELECT id FROM audit_entries WHERE at < '2021-01-01' ORDER BY at DESC, id DESC`,
    );
    expect(ids).toEqual(all.map(({ id }) => id));
    expect(ids).toHaveLength(24);
  });

  test.each([
    ['connection: 2', 'connection_id = 2'],
    ['actor: "key:101"', `actor_id = 'key:101'`],
    ['action: "odd"', `action = 'odd'`],
    ['since: "2020-01-05T00:00:00Z"', `at >= '2020-01-05T00:00:00Z'`],
    [
      'connection: 3, action: "even", actor: "key:102"',
      `connection_id = 3 AND action = 'even' AND actor_id = 'key:102'`,
    ],
  ])('%s', async (filter, condition) => {
    const { data } = await read(`${old}, ${filter}`);
    const expected = await app.database.query(
      `SELECT id FROM audit_entries WHERE at < '2021-01-01' AND ${condition} ORDER BY at DESC, id DESC`,
    );
    expect(expected.length).toBeGreaterThan(0);
    expect(expected.length).toBeLessThan(24);
    expect(data.auditLog.nodes.map((node: { id: string }) => node.id)).toEqual(expected.map(({ id }) => id));
  });

  test.each([
    ['after: "nonsense"', 'CURSOR_INVALID'],
    ['first: 0', 'INVALID_INPUT'],
    ['first: 1001', 'TOO_MANY'],
    [`actor: "${'x'.repeat(201)}"`, 'INVALID_INPUT'],
    ['actor: "\\u0000"', 'INVALID_INPUT'],
  ])('%s is refused with %s', async (args, code) => {
    expect((await read(args)).errors?.[0]?.extensions.code).toBe(code);
  });

  test('a made-up cursor with a time before all calendars is refused', async () => {
    const { data } = await read(`first: 1, ${old}`);
    const cursor: string = data.auditLog.pageInfo.endCursor;
    const parts: unknown[] = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    const madeUp = parts.map((part) => (typeof part === 'number' && part > 1 ? -8.64e15 : part));
    const after = Buffer.from(JSON.stringify(madeUp)).toString('base64url');
    const { errors } = await read(`first: 1, ${old}, after: "${after}"`);
    expect(errors?.[0]?.extensions.code).toBe('CURSOR_INVALID');
  });

  test('a cursor belongs to its filters', async () => {
    const { data } = await read(`first: 1, ${old}`);
    const { errors } = await read(`first: 1, action: "odd", after: "${data.auditLog.pageInfo.endCursor}"`);
    expect(errors?.[0]?.extensions.code).toBe('CURSOR_INVALID');
  });

  test('is for admins, and a key with a reach sees its connections, its bases and itself', async () => {
    for (const role of ['viewer', 'editor'] as const) {
      const { errors } = await read('first: 1', await app.app.keys.create(`A ${role}`, role));
      expect(errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    }
    const reached = await app.connect({ name: 'Reached' });
    expect(reached).toBeLessThan(5);
    const key = await app.app.keys.create('Reaches', 'admin', { connectionIds: [reached] });
    const seen = (await read(old, key)).data.auditLog.nodes;
    expect(new Set(seen.map((node: { connectionId: number }) => node.connectionId))).toEqual(
      new Set([reached]),
    );
    await app.graphql('mutation { deleteConnection(input: { connection: 9 }) { __typename } }', {}, { key });
    const own = (await read('connection: 9', key)).data.auditLog.nodes;
    expect(own).toEqual([expect.objectContaining({ action: 'deleteConnection' })]);
    const based = await app.app.keys.create('Reaches a base', 'admin', {
      connectionIds: [reached],
      baseIds: ['appA'],
    });
    const targets = (await read(old, based)).data.auditLog.nodes.map(
      (node: { target: string }) => node.target,
    );
    expect(new Set(targets)).toEqual(new Set([null, 'appA/tblB']));
  });
});

describe('nothing is done unaudited', () => {
  const create = (id: number, instance = app) =>
    instance.graphql(
      'mutation ($id: Int!) { createRecords(input: { connection: $id, baseId: "appABC123", tableId: "tblDEF456", records: [{ fields: { Name: "x" } }] }) { __typename ... on Error { code } } }',
      { id },
      { headers: { 'x-deadline-ms': '1500' } },
    );
  const writes = async () => JSON.stringify(await control(app.sandbox.url, 'writes'));

  test('a mutation whose entry can not be written is refused, and nothing goes upstream', async () => {
    const id = await app.connect();
    const before = await writes();
    await app.database.query('ALTER TABLE audit_entries RENAME TO away');
    try {
      const { data, errors } = await create(id);
      expect(data).toEqual({ createRecords: null });
      expect(errors?.[0]?.extensions.code).toBe('DATABASE_UNAVAILABLE');
      expect(await writes()).toBe(before);
    } finally {
      await app.database.query('ALTER TABLE away RENAME TO audit_entries');
    }
    expect((await create(id)).data.createRecords.__typename).toBe('CreateRecordsSuccess');
    expect(await writes()).not.toBe(before);
  });

  test('an entry stays without an outcome when the server goes before it is known', async () => {
    const id = await app.connect({ name: 'Slow' });
    await control(app.sandbox.url, 'faults', {
      match: { method: 'POST', path: '/v0/appABC123/tblDEF456' },
      times: 1,
      kind: 'timeout',
      effect: 'after',
    });
    const open = () =>
      app.database.query(
        `SELECT outcome FROM audit_entries WHERE connection_id = $1 AND action = 'createRecords'`,
        [id],
      );
    const other = await app.another();
    const answer = create(id, other);
    while ((await open()).length === 0) await new Promise(setImmediate);
    // From here on that instance writes nothing any more, as if it had been killed.
    await other.app.database.destroy();
    await answer;
    await other.close().catch(() => undefined);
    expect(await open()).toEqual([{ outcome: null }]);
  });
});
