import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { allRecords, countCalls, crm, type KnownRecord } from './crm.ts';

let app: TestApp;
let connection: number;
let contacts: KnownRecord[];

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
  contacts = await allRecords(app, connection, 'Contacts');
});
afterAll(() => app.close());

const document = `query ($c: Int!, $b: String!, $t: String!, $first: Int, $after: String, $sort: [RecordSort!], $view: String, $formula: String) {
  base(connection: $c, baseId: $b) { table(id: $t) {
    records(first: $first, after: $after, sort: $sort, view: $view, formula: $formula) {
      edges { cursor node { id } } nodes { id text(field: "Name") } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  } }
}`;

async function page(variables: Record<string, unknown>) {
  const answer = await app.graphql(document, { c: connection, b: crm, t: 'Contacts', ...variables });
  return { page: answer.data?.base?.table?.records, errors: answer.errors };
}

async function walk(sizes: number[], variables: Record<string, unknown> = {}): Promise<string[]> {
  const ids: string[] = [];
  let after: string | null = null;
  for (let turn = 0; ; turn += 1) {
    const { page: got, errors } = await page({ ...variables, first: sizes[turn % sizes.length], after });
    if (errors) throw new Error(JSON.stringify(errors));
    ids.push(...got.nodes.map(({ id }: { id: string }) => id));
    expect(got.pageInfo.hasPreviousPage).toBe(turn > 0);
    if (!got.pageInfo.hasNextPage) return ids;
    after = got.pageInfo.endCursor;
  }
}

const everyId = () => contacts.map(({ id }) => id).sort();

describe('a walk over all pages', () => {
  test.each([[[7]], [[50]], [[100]], [[130]], [[1, 100, 3]], [[1_000]]])(
    'in pages of %j meets each record once',
    async (sizes) => {
      const ids = await walk(sizes);
      expect([...ids].sort()).toEqual(everyId());
    },
  );

  test('keeps the order of the sort', async () => {
    const { page: whole } = await page({ first: 1_000, sort: [{ field: 'Name', direction: 'DESC' }] });
    const walked = await walk([60], { sort: [{ field: 'Name', direction: 'DESC' }] });
    expect(walked).toEqual(whole.nodes.map(({ id }: { id: string }) => id));
  });

  test('costs one call for each hundred', async () => {
    const { calls } = await countCalls(app, () => walk([50]));
    expect(calls).toEqual({ listRecords: Math.ceil(contacts.length / 50) });
    const { calls: large } = await countCalls(app, () => page({ first: 1_000 }));
    expect(large).toEqual({ listRecords: Math.ceil(contacts.length / 100) });
  });

  test('works the same where the upstream hands out shorter pages', async () => {
    await control(app.sandbox.url, 'limits', { pageCap: 30 });
    try {
      expect([...(await walk([100, 45]))].sort()).toEqual(everyId());
    } finally {
      await control(app.sandbox.url, 'limits', { pageCap: 100 });
    }
  });

  test('goes on behind any record, not only the last of a page', async () => {
    const { page: whole } = await page({ first: 150 });
    const order = whole.nodes.map(({ id }: { id: string }) => id);
    for (const index of [0, 30, 99, 100, 120]) {
      const { page: rest } = await page({ first: 5, after: whole.edges[index].cursor });
      expect(rest.nodes.map(({ id }: { id: string }) => id)).toEqual(order.slice(index + 1, index + 6));
    }
  });

  test('by view and formula lists what they let through', async () => {
    const active = await walk([40], { view: 'Active contacts' });
    const byFormula = await walk([40], { formula: "{Status} = 'Active'" });
    expect(active.length).toBeGreaterThan(0);
    expect([...active].sort()).toEqual([...byFormula].sort());
  });
});

describe('a listing that the upstream has forgotten', () => {
  const forget = () => control(app.sandbox.url, 'clock', { advanceMs: 10 * 60_000 });

  test('is found again where a sort fixes the order', async () => {
    const sort = [{ field: 'Contact number', direction: 'ASC' }];
    const { page: whole } = await page({ first: 1_000, sort });
    const { page: begun } = await page({ first: 120, sort });
    await forget();
    const { page: rest, errors } = await page({ first: 1_000, after: begun.pageInfo.endCursor, sort });
    expect(errors).toBeUndefined();
    expect([...begun.nodes, ...rest.nodes]).toEqual(whole.nodes);
  });

  test('is CURSOR_EXPIRED where nothing does, and says how to go on', async () => {
    const { page: begun } = await page({ first: 120 });
    await forget();
    const { errors } = await page({ first: 10, after: begun.pageInfo.endCursor });
    expect(errors).toMatchObject([
      {
        path: ['base', 'table', 'records'],
        extensions: { code: 'CURSOR_EXPIRED' },
        message: expect.stringContaining('"sort" or "view"'),
      },
    ]);
  });
});

describe('bad arguments', () => {
  test.each([
    [
      'a cursor of another listing',
      { first: 5, sort: [{ field: 'Name', direction: 'ASC' }] },
      'CURSOR_INVALID',
    ],
    ['first below 1', { first: 0 }, 'INVALID_INPUT'],
    ['first above 1,000', { first: 1_001 }, 'TOO_MANY'],
    ['an unknown field to sort by', { sort: [{ field: 'Nmae', direction: 'ASC' }] }, 'FIELD_NOT_FOUND'],
    ['a broken formula', { formula: '{Name' }, 'FORMULA_INVALID'],
  ])('%s', async (_what, variables, code) => {
    const { page: begun } = await page({ first: 5 });
    const after = code === 'CURSOR_INVALID' ? begun.pageInfo.endCursor : undefined;
    const { page: got, errors } = await page({ ...variables, after });
    expect(got).toBeNull();
    expect(errors).toMatchObject([{ extensions: { code } }]);
  });

  test.each(['', 'x', Buffer.from('[1]').toString('base64url'), 'a'.repeat(5_000)])(
    'the cursor %j',
    async (after) => {
      const { errors } = await page({ after });
      expect(errors).toMatchObject([{ extensions: { code: 'CURSOR_INVALID' } }]);
    },
  );
});
