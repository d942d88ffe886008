import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { control, startTestApp, type GraphQLAnswer, type TestApp, type UntypedData } from '../support/app.ts';
import { clearFaults, countCalls, crm } from '../records/crm.ts';

let app: TestApp;
let connection: number;
let bases: { id: string; name: string }[];

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
  const answer = await app.graphql(
    `query ($c: Int!) { connection(id: $c) { ... on CalendlyConnection { bases { nodes { id name permissionLevel } pageInfo { hasNextPage } } } } }`,
    { c: connection },
  );
  bases = answer.data.connection.bases.nodes;
});
afterEach(() => clearFaults(app));
afterAll(() => app.close());

test('bases come page by page, each once', async () => {
  expect(bases.map(({ id }) => id)).toContain(crm);
  expect(bases.length).toBeGreaterThan(1);
  const seen: string[] = [];
  for (let after: string | null = null, more = true; more;) {
    const answer: GraphQLAnswer = await app.graphql(
      `query ($c: Int!, $after: String) { connection(id: $c) { ... on CalendlyConnection { bases(first: 1, after: $after) { edges { cursor node { id } } pageInfo { hasNextPage endCursor } } } } }`,
      { c: connection, after },
    );
    const page: UntypedData = answer.data.connection.bases;
    seen.push(...page.edges.map(({ node }: { node: { id: string } }) => node.id));
    after = page.pageInfo.endCursor;
    more = page.pageInfo.hasNextPage;
  }
  expect(seen).toEqual(bases.map(({ id }) => id));
});

test('a base tells its tables, fields and views, by node id as well', async () => {
  const answer = await app.graphql(
    `query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { nodeId name permissionLevel table(id: "Contacts") {
       nodeId id name base { id } field(id: "Company") { type isComputed linkedTable { name } } fields { name isPrimary type options } views { name type } } tables { name } } }`,
    { c: connection, b: crm },
  );
  const { base } = answer.data;
  expect(base.tables.map(({ name }: { name: string }) => name)).toEqual(['Contacts', 'Companies', 'Deals']);
  expect(base.table).toMatchObject({
    id: 'tblDEF456',
    base: { id: crm },
    field: { type: 'multipleRecordLinks', isComputed: false, linkedTable: { name: 'Companies' } },
  });
  expect(base.table.fields[0]).toMatchObject({ name: 'Name', isPrimary: true, type: 'singleLineText' });
  const nodes = await app.graphql(
    `query ($ids: [ID!]!) { nodes(ids: $ids) { __typename nodeId ... on Base { called: name } ... on Table { id } ... on CalendlyConnection { name } } }`,
    {
      ids: [
        base.nodeId,
        base.table.nodeId,
        Buffer.from(`CalendlyConnection:${connection}`).toString('base64'),
      ],
    },
  );
  expect(nodes.errors).toBeUndefined();
  expect(nodes.data.nodes).toMatchObject([
    { __typename: 'Base', called: base.name },
    { __typename: 'Table', id: 'tblDEF456' },
    { __typename: 'CalendlyConnection' },
  ]);
});

test('a base costs what is asked of it: its schema, its listing, or both', async () => {
  const cold = await app.another();
  const ask = (selection: string) =>
    countCalls(app, () =>
      cold.graphql(`query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { ${selection} } }`, {
        c: connection,
        b: crm,
      }),
    );
  try {
    expect((await ask('id tables { id }')).calls).toEqual({ getBaseSchema: 1 });
    expect((await ask('id name')).calls).toEqual({ listBases: 1 });
    const warm = await ask('name tables { id }');
    expect(warm.calls).toEqual({});
    expect(warm.result.extensions?.upstream).toMatchObject({ calls: 0, fromCache: 2 });
  } finally {
    await cold.close();
  }
});

test('a failing base leaves the rest of the answer intact', async () => {
  const other = bases.find(({ id }) => id !== crm)!;
  app.app.baseSchemas.forget(other.id);
  await control(app.sandbox.url, 'faults', {
    match: { path: `/v0/meta/bases/${other.id}/tables` },
    times: 100,
    kind: 'status',
    status: 500,
  });
  const answer = await app.graphql(
    `query ($c: Int!, $b: String!, $other: String!) {
       good: base(connection: $c, baseId: $b) { table(id: "Contacts") { records(first: 1) { nodes { id } } } }
       bad: base(connection: $c, baseId: $other) { id tables { id } }
       named: base(connection: $c, baseId: $other) { name } }`,
    { c: connection, b: crm, other: other.id },
  );
  expect(answer.data.good.table.records.nodes).toHaveLength(1);
  expect(answer.data.bad).toBeNull();
  expect(answer.data.named).toEqual({ name: other.name });
  expect(answer.errors).toMatchObject([{ path: ['bad'], extensions: { code: 'UPSTREAM_UNAVAILABLE' } }]);
});

test('a base that does not exist and one that was not granted look the same', async () => {
  const other = bases.find(({ id }) => id !== crm)!;
  const narrow = await app.connect({ bases: [crm] });
  const answer = await app.graphql(
    `query ($c: Int!, $other: String!) {
       ungranted: base(connection: $c, baseId: $other) { tables { id } } missing: base(connection: $c, baseId: "appNope") { tables { id } }
       listed: base(connection: $c, baseId: $other) { name } odd: base(connection: $c, baseId: "../appNope") { id } }`,
    { c: narrow, other: other.id },
  );
  expect(answer.data).toEqual({ ungranted: null, missing: null, listed: null, odd: null });
  const codes = Object.fromEntries(
    (answer.errors ?? []).map(({ path, extensions }) => [String(path), extensions.code]),
  );
  expect(codes).toEqual({
    ungranted: 'BASE_NOT_FOUND',
    missing: 'BASE_NOT_FOUND',
    listed: 'BASE_NOT_FOUND',
    odd: 'INVALID_INPUT',
  });
});

test('a schema that is forgotten is read again, once however many ask', async () => {
  app.app.baseSchemas.forget(crm);
  const { calls } = await countCalls(app, () =>
    Promise.all(
      Array.from({ length: 20 }, () =>
        app.graphql(`query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { tables { id } } }`, {
          c: connection,
          b: crm,
        }),
      ),
    ),
  );
  expect(calls).toEqual({ getBaseSchema: 1 });
});

test.each(['table(id: "Contacts")', 'tables'])(
  'records asked for by way of a list of bases, below %s, share their call with others of the table',
  async (below) => {
    const narrow = await app.connect({ bases: [crm] });
    const known = await app.graphql(
      `query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { table(id: "Contacts") { records(first: 2) { nodes { id } } } } }`,
      { c: narrow, b: crm },
    );
    const [first, second] = known.data.base.table.records.nodes;
    await control(app.sandbox.url, 'faults', {
      match: { path: '/v0/meta/bases' },
      times: 1,
      kind: 'delay',
      effect: 'after',
      delayMs: 300,
    });
    const { result, calls } = await countCalls(app, () =>
      app.graphql(
        `query ($c: Int!, $b: String!, $first: String!, $second: String!) {
           record(connection: $c, baseId: $b, tableId: "Contacts", recordId: $first) { id }
           connection(id: $c) { ... on CalendlyConnection { bases { nodes { ${below} { id record(id: $second) { id } } } } } } }`,
        { c: narrow, b: crm, first: first.id, second: second.id },
      ),
    );
    expect(result.errors).toBeUndefined();
    expect(result.data.record).toEqual(first);
    const [base] = result.data.connection.bases.nodes;
    const tables = below === 'tables' ? base.tables : [base.table];
    expect(tables.find(({ id }: { id: string }) => id === 'tblDEF456').record).toEqual(second);
    expect(calls).toEqual({ listBases: 1, listRecords: tables.length });
  },
);

test.each([
  ['base', 'base(connection: 0, baseId: "appABC123") { id }'],
  ['record', 'record(connection: -1, baseId: "appABC123", tableId: "Contacts", recordId: "rec1") { id }'],
])('a number that no connection can have is refused by %s', async (field, select) => {
  const answer = await app.graphql(`{ ${select} }`);
  expect(answer.errors).toMatchObject([
    {
      path: [field],
      message: expect.stringContaining('ID must be a positive integer'),
      extensions: { code: 'INVALID_INPUT' },
    },
  ]);
});
