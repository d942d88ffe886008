import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startTestApp, type TestApp } from '../../support/app.ts';
import { countCalls, crm } from '../crm.ts';
import { copyTable } from './copied-tables.ts';

let app: TestApp;
let connection: number;

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
  for (const table of ['Contacts', 'Companies'] as const) await copyTable(app, connection, table);
});
afterAll(() => app.close());

const page = `query ($c: Int!, $t: String!, $filter: RecordFilter, $search: String, $formula: String, $view: String, $sort: [RecordSort!], $first: Int, $after: String, $maxAge: Duration, $names: [String!]) {
  base(connection: $c, baseId: "${crm}") { table(id: $t) {
    records(filter: $filter, search: $search, formula: $formula, view: $view, sort: $sort, first: $first, after: $after, maxAge: $maxAge) {
      source asOf liveBecause
      nodes { id createdTime source asOf fields(names: $names) }
      pageInfo { hasNextPage hasPreviousPage endCursor }
    }
  } }
}`;

async function list(variables: Record<string, unknown>) {
  const asked = { c: connection, t: 'Contacts', names: ['Name', 'Score'], ...variables };
  const { data, errors, extensions } = await app.graphql(page, asked);
  return { page: data?.base?.table?.records, errors, calls: extensions?.upstream?.calls };
}

describe('a page from the copy', () => {
  test('tells the same as a live one, without a call', async () => {
    const names = [
      'Name',
      'Email',
      'Score',
      'VIP',
      'Status',
      'Tags',
      'Birthday',
      'Last contacted',
      'Company',
      'Created',
    ];
    const live = await list({ names, first: 1000 });
    const { result: copied, calls } = await countCalls(app, () =>
      list({ names, first: 1000, maxAge: 'PT1H' }),
    );
    expect(copied.errors).toBeUndefined();
    expect(copied.page.source).toBe('COPY');
    expect(copied.calls).toBe(0);
    expect(calls).toEqual({});
    const byId = (nodes: { id: string }[]) =>
      nodes.map((node) => ({ ...node, source: null, asOf: null })).sort((a, b) => a.id.localeCompare(b.id));
    expect(byId(copied.page.nodes)).toEqual(byId(live.page.nodes));
  });
});
