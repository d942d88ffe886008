import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DEFAULT_FORMULA_READINGS } from '../../sandbox/formula/readings.ts';
import type { RecordFilter } from '../../src/records/filters/filter.ts';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { allRecords, countCalls, crm, type KnownRecord, type TableName } from './crm.ts';
import type { CaseField, Cells } from './filter-cases.ts';
import { passes } from './plain-filter.ts';

let app: TestApp;
let connection: number;
let late = 0;
let companies: KnownRecord[];
const fieldsOf = {} as Record<TableName, CaseField[]>;
const rowsOf = {} as Record<TableName, { id: string; cells: Cells }[]>;

beforeAll(async () => {
  app = await startTestApp({ clock: { now: () => Date.now() + late } });
  connection = await app.connect();
  companies = await allRecords(app, connection, 'Companies');
  for (const table of ['Contacts', 'Deals'] as const) await readTable(table);
});
afterAll(() => app.close());

const document = `query ($c: Int!, $b: String!, $t: String!, $filter: RecordFilter, $search: String, $formula: String, $first: Int, $after: String) {
  base(connection: $c, baseId: $b) { table(id: $t) {
    records(filter: $filter, search: $search, formula: $formula, first: $first, after: $after) {
      nodes { id } pageInfo { hasNextPage endCursor }
    }
  } }
}`;

function ask(variables: Record<string, unknown>) {
  return app.graphql(document, { c: connection, b: crm, t: 'Contacts', first: 1_000, ...variables });
}

async function ids(variables: Record<string, unknown>): Promise<string[]> {
  const { data, errors } = await ask(variables);
  if (errors) throw new Error(JSON.stringify(errors));
  return data.base.table.records.nodes.map(({ id }: { id: string }) => id);
}

/** The whole table, without the cells that are filled in because they are empty. */
async function readTable(table: TableName): Promise<void> {
  const { data } = await app.graphql(
    `query ($c: Int!, $t: String!) { base(connection: $c, baseId: "${crm}") { table(id: $t) {
      fields { id name type options } records(first: 1000) { nodes { id fields } }
    } } }`,
    { c: connection, t: table },
  );
  const { fields, records } = data.base.table as {
    fields: CaseField[];
    records: { nodes: { id: string; fields: Cells }[] };
  };
  fieldsOf[table] = fields;
  const isFilled = (cell: unknown) =>
    cell !== null && cell !== false && !(Array.isArray(cell) && cell.length === 0);
  rowsOf[table] = records.nodes.map(({ id, fields: cells }) => ({
    id,
    cells: Object.fromEntries(
      fields.filter(({ name }) => isFilled(cells[name])).map((field) => [field.id, cells[field.name]]),
    ),
  }));
}

function expected(table: TableName, filter: RecordFilter): string[] {
  return rowsOf[table].filter(({ cells }) => passes(filter, fieldsOf[table], cells)).map(({ id }) => id);
}

const filters: [TableName, RecordFilter][] = [
  ['Contacts', { field: 'Name', contains: "'" }],
  ['Contacts', { field: 'Name', startsWith: 'a', ignoreCase: true }],
  ['Contacts', { field: 'Name', isEmpty: true }],
  ['Contacts', { field: 'Email', in: ['nobody@example.com'] }],
  ['Contacts', { field: 'Status', in: ['Lead', 'Active'] }],
  ['Contacts', { field: 'Status', ne: 'Active' }],
  ['Contacts', { field: 'Source', eq: 'Trade fair' }],
  ['Contacts', { field: 'Score', eq: 0 }],
  ['Contacts', { field: 'Score', lt: 10 }],
  ['Contacts', { field: 'Score', gte: 20, lt: 40 }],
  ['Contacts', { field: 'Score', isEmpty: true }],
  ['Contacts', { not: { field: 'Budget', gt: 50_000.5 } }],
  ['Contacts', { field: 'Engagement', lte: 0.5 }],
  ['Contacts', { field: 'VIP', eq: true }],
  ['Contacts', { field: 'VIP', eq: false }],
  ['Contacts', { field: 'Tags', hasAny: ['Partner', 'Événement'] }],
  ['Contacts', { field: 'Tags', hasAll: ['Partner', 'Press'] }],
  ['Contacts', { field: 'Tags', hasNone: ['Newsletter'] }],
  ['Contacts', { field: 'Birthday', before: '1970-01-01' }],
  ['Contacts', { field: 'Last contacted', gte: '2026-01-01', timeZone: 'America/New_York' }],
  ['Contacts', { field: 'Last contacted', lt: '2026-01-01T00:00:00+01:00' }],
  ['Contacts', { field: 'Created', after: '2025-01-01T00:00:00Z' }],
  ['Contacts', { field: 'Owner', eq: 'Ada Lovelace' }],
  ['Contacts', { field: 'Created by', ne: 'Grace Hopper' }],
  ['Contacts', { field: 'Watchers', isEmpty: false }],
  ['Contacts', { field: 'Avatar', isEmpty: false }],
  ['Contacts', { field: 'Deal count', eq: 0 }],
  ['Contacts', { field: 'Deal total', gt: 10_000 }],
  ['Contacts', { field: 'Label', contains: '<' }],
  ['Contacts', { field: 'Next birthday month', isEmpty: false }],
  ['Contacts', { field: 'Company industry', hasAny: ['Software'] }],
  ['Contacts', { field: 'Contact number', lte: 12 }],
  ['Deals', { field: 'Is won', eq: 1 }],
  ['Deals', { field: 'Next meeting', eq: '2026-05-04', timeZone: 'Europe/Paris' }],
  [
    'Deals',
    {
      or: [
        {
          and: [
            { field: 'Stage', eq: 'Won' },
            { field: 'Amount', gt: 1_000 },
          ],
        },
        { not: { field: 'Close date', isEmpty: false } },
      ],
    },
  ],
  ['Deals', { and: [] }],
];

const otherReadings = Object.fromEntries(
  Object.entries(DEFAULT_FORMULA_READINGS).map(([name, value]) => [name, !value]),
);

describe.each([
  ['as they are likely', DEFAULT_FORMULA_READINGS],
  ['the other way', otherReadings],
])('with the unconfirmed rules read %s', (_how, switches) => {
  beforeAll(async () => {
    await control(app.sandbox.url, 'switches', switches);
  });
  afterAll(async () => {
    await control(app.sandbox.url, 'switches', { ...DEFAULT_FORMULA_READINGS });
  });

  test.each(filters)('%s: %j', async (table, filter) => {
    expect(await ids({ t: table, filter, first: 100 })).toEqual(expected(table, filter).slice(0, 100));
  });
});

test('most of these filters let some records through and others not', () => {
  const telling = filters.filter(([table, filter]) => {
    const count = expected(table, filter).length;
    return count > 0 && count < rowsOf[table].length;
  });
  expect(telling.length).toBeGreaterThan(0.8 * filters.length);
});

describe('links', () => {
  const linkedTo = (...names: KnownRecord[]) => new Set(names.flatMap(({ links }) => links.Contacts ?? []));

  test('are found by the record that they lead to, at the cost of one call more', async () => {
    const [one] = companies.filter(({ links }) => links.Contacts!.length > 1);
    const filter = { field: 'Company', hasRecord: one!.id };
    const { result, calls } = await countCalls(app, () => ids({ filter }));
    expect(new Set(result)).toEqual(linkedTo(one!));
    expect(calls).toEqual({ listRecords: 2 });
  });

  test('are looked up together with all others of the operation', async () => {
    const [a, b, c] = companies.filter(({ links }) => links.Contacts!.length > 0);
    const list = (filter: string) => `records(first: 1000, filter: ${filter}) { nodes { id } }`;
    const { result, calls } = await countCalls(app, () =>
      app.graphql(`{ base(connection: ${connection}, baseId: "${crm}") { table(id: "Contacts") {
        any: ${list(`{ field: "Company", hasAnyRecord: ["${a!.id}", "${b!.id}"] }`)}
        none: ${list(`{ not: { field: "Company", hasRecord: "${c!.id}" } }`)}
      } } }`),
    );
    const table = result.data.base.table as Record<string, { nodes: { id: string }[] }>;
    expect(new Set(table.any!.nodes.map(({ id }) => id))).toEqual(linkedTo(a!, b!));
    expect(table.none!.nodes).toHaveLength(rowsOf.Contacts.length - linkedTo(c!).size);
    expect(calls).toEqual({ listRecords: 1 + 1 + Math.ceil(table.none!.nodes.length / 100) });
  });

  test('to a record that does not exist are none, and nothing is listed for it', async () => {
    const filter = { field: 'Company', hasRecord: 'recGone00000000000' };
    const { result, calls } = await countCalls(app, () => ask({ filter }));
    expect(result.data.base.table.records).toEqual({
      nodes: [],
      pageInfo: { hasNextPage: false, endCursor: null },
    });
    expect(calls).toEqual({ listRecords: 1 });
  });
});

describe('a search', () => {
  test.each(["o'", 'ÉV', 'ACTIVE', '@EXAMPLE', '  lovelace  '])(
    'for %j looks into all texts',
    async (search) => {
      const text = search.trim().toLowerCase();
      const textual =
        /^(singleLineText|multilineText|richText|email|url|phoneNumber|singleSelect|externalSyncSource)$/;
      const searched = fieldsOf.Contacts.filter(({ name, type }) => textual.test(type) || name === 'Label');
      const wanted = rowsOf.Contacts.filter(({ cells }) =>
        searched.some(({ id }) =>
          JSON.stringify(cells[id] ?? '')
            .toLowerCase()
            .includes(text),
        ),
      );
      expect(await ids({ search })).toEqual(wanted.map(({ id }) => id));
    },
  );

  test('is joined with filter and formula by AND', async () => {
    const [status, score, name] = ['Status', 'Score', 'Name'].map(
      (one) => fieldsOf.Contacts.find((field) => field.name === one)!.id,
    );
    const wanted = rowsOf.Contacts.filter(
      ({ cells }) =>
        cells[status!] === 'Active' &&
        Number(cells[score!] ?? 0) > 30 &&
        JSON.stringify(Object.values({ ...cells, [name!]: cells[name!] }))
          .toLowerCase()
          .includes('an'),
    );
    const found = await ids({
      filter: { field: 'Status', eq: 'Active' },
      search: 'an',
      formula: '{Score} > 30',
    });
    expect(found.length).toBeGreaterThan(0);
    expect(wanted.map(({ id }) => id)).toEqual(expect.arrayContaining(found));
  });

  test('for nothing but blanks lets everything through', async () => {
    expect(await ids({ search: '  ' })).toHaveLength(rowsOf.Contacts.length);
  });
});

describe('a listing with a filter', () => {
  const filter = { field: 'Score', gte: 10 };

  test('costs one call for each hundred, and none where no record can pass', async () => {
    const { result, calls } = await countCalls(app, () => ids({ filter }));
    expect(calls).toEqual({ listRecords: Math.ceil(result.length / 100) });
    const { result: nothing, calls: none } = await countCalls(app, () =>
      ids({ filter: { field: 'Status', in: [] } }),
    );
    expect([nothing, none]).toEqual([[], {}]);
  });

  test('is paged without a gap, by cursors that belong to it alone', async () => {
    const first = await ask({ filter, first: 30 });
    const { nodes, pageInfo } = first.data.base.table.records;
    const after = pageInfo.endCursor as string;
    const rest = await ids({ filter: { and: [{ field: 'Score', gte: 10 }] }, after }).catch(
      (error: Error) => error,
    );
    expect(rest).toBeInstanceOf(Error);
    expect([...nodes.map(({ id }: { id: string }) => id), ...(await ids({ filter, after }))]).toEqual(
      expected('Contacts', filter),
    );
    // The field by its id is the same listing.
    const byId = { ...filter, field: fieldsOf.Contacts.find(({ name }) => name === 'Score')!.id };
    expect(await ids({ filter: byId, after })).toHaveLength(expected('Contacts', filter).length - 30);
    for (const other of [{ filter: { field: 'Score', gte: 11 } }, { filter, search: 'a' }, {}]) {
      const { errors } = await ask({ ...other, after });
      expect(errors).toMatchObject([{ extensions: { code: 'CURSOR_INVALID' } }]);
    }
  });
});

test('what was added to the table a moment ago is found in time', async () => {
  await control(app.sandbox.url, 'schema', {
    baseId: crm,
    addField: { tableId: 'Contacts', name: 'Nickname', type: 'singleLineText' },
  });
  const filter = { field: 'Nickname', isEmpty: false };
  late += 6_000;
  const { result, calls } = await countCalls(app, () => ids({ filter }));
  expect(result).toEqual([]);
  expect(calls).toEqual({ getBaseSchema: 1, listRecords: 1 });
});

describe('a filter that cannot be meant', () => {
  const deep = (levels: number): RecordFilter =>
    levels === 1 ? { field: 'Name', eq: 'x' } : { not: deep(levels - 1) };
  const conditions = (count: number) => ({
    or: Array.from({ length: count }, () => ({ field: 'Name', eq: 'x' })),
  });

  test.each<[string, unknown, string, string]>([
    ['nothing', {}, 'INVALID_INPUT', 'exactly one of "and", "or", "not" and "field", not none'],
    ['two things', { field: 'Name', eq: 'x', and: [] }, 'INVALID_INPUT', 'not 2'],
    ['a group with an operator', { and: [], eq: 'x' }, 'INVALID_INPUT', 'put "eq" beside a "field"'],
    [
      'a field alone',
      { or: [{ field: 'Name' }] },
      'INVALID_INPUT',
      '"filter.or[0]" has a "field", but no operator',
    ],
    ['null', { field: 'Name', eq: null }, 'INVALID_INPUT', '"isEmpty"'],
    ['nine levels', deep(9), 'TOO_MANY', 'at most 8 levels'],
    ['101 conditions', conditions(101), 'TOO_MANY', 'at most 100 conditions'],
    [
      '101 values',
      { field: 'Score', in: Array.from({ length: 101 }, (_, n) => n) },
      'TOO_MANY',
      'at most 100 values',
    ],
    ['a long text', { field: 'Name', eq: 'x'.repeat(1_001) }, 'INVALID_INPUT', 'more than 1000 characters'],
    ['a misspelt field', { field: 'Nmae', eq: 'x' }, 'FIELD_NOT_FOUND', 'Did you mean "Name"?'],
    [
      'an order of texts',
      { field: 'Name', gt: 'x' },
      'FIELD_TYPE_MISMATCH',
      'What fits: eq, ne, in, notIn, contains, startsWith, isEmpty.',
    ],
    [
      'choices of one',
      { field: 'Status', hasAny: ['Active'] },
      'FIELD_TYPE_MISMATCH',
      'What fits: eq, ne, in, notIn, isEmpty.',
    ],
    [
      'a record of a text',
      { field: 'Name', hasRecord: 'recA' },
      'FIELD_TYPE_MISMATCH',
      '"hasRecord" of "filter" does not fit',
    ],
    ['a number in quotes', { field: 'Score', eq: '5' }, 'FIELD_TYPE_MISMATCH', 'a number, not in quotes'],
    ['a text that is a number', { field: 'Name', eq: 5 }, 'FIELD_TYPE_MISMATCH', 'has to be a text'],
    ['a checkbox that is a text', { field: 'VIP', eq: 'true' }, 'INVALID_INPUT', 'true or false'],
    ['an unknown choice', { field: 'Status', eq: 'Activ' }, 'INVALID_INPUT', 'Did you mean "Active"?'],
    [
      'a choice of another case',
      { field: 'Status', in: ['active'] },
      'INVALID_INPUT',
      'Did you mean "Active"?',
    ],
    ['no part', { field: 'Name', contains: '' }, 'INVALID_INPUT', 'which any text has'],
    [
      'a day with a time',
      { field: 'Birthday', eq: '1990-01-01T00:00:00Z' },
      'FIELD_TYPE_MISMATCH',
      'a day such as',
    ],
    ['a day that is none', { field: 'Birthday', lt: '1990-02-30' }, 'FIELD_TYPE_MISMATCH', 'a day such as'],
    [
      'a time without a zone',
      { field: 'Created', gt: '2026-01-01T10:00' },
      'FIELD_TYPE_MISMATCH',
      'an instant such as',
    ],
    ['a day of no zone', { field: 'Created', gt: '2026-01-01' }, 'INVALID_INPUT', 'Add a "timeZone"'],
    [
      'an unknown zone',
      { field: 'Created', gt: '2026-01-01', timeZone: 'Mars' },
      'INVALID_INPUT',
      'Zones look like',
    ],
    [
      'a zone for a day',
      { field: 'Birthday', gt: '2026-01-01', timeZone: 'UTC' },
      'INVALID_INPUT',
      'does nothing',
    ],
    [
      'a computed time shown as a day',
      { field: 'Next birthday month', gt: '1990-06-01' },
      'FILTER_NOT_EXACT',
      'in which time zone',
    ],
    ['case of numbers', { field: 'Score', eq: 1, ignoreCase: true }, 'INVALID_INPUT', 'does nothing'],
    ['an id that is none', { field: 'Company', hasRecord: "rec'" }, 'INVALID_INPUT', 'not a record id'],
    ['a control character', { field: 'Notes', contains: 'a\nb' }, 'FILTER_NOT_EXACT', 'line breaks'],
    ['no links', { field: 'Company', isEmpty: true }, 'FILTER_NOT_EXACT', 'add a count field'],
    ['the name of a link', { field: 'Company', eq: 'Acme' }, 'FILTER_NOT_EXACT', 'Use "hasRecord"'],
    ['a choice with a comma', { field: 'Tags', hasAny: ['Beta, early'] }, 'FILTER_NOT_EXACT', 'has a comma'],
    ['a person by address', { field: 'Owner', eq: 'ada@example.com' }, 'FILTER_NOT_EXACT', 'the name'],
    [
      'one of several people',
      { field: 'Watchers', hasAny: ['Ada Lovelace'] },
      'FILTER_NOT_EXACT',
      'joined by commas',
    ],
    ['a file name', { field: 'Avatar', contains: 'jpg' }, 'FILTER_NOT_EXACT', 'not documented'],
    ['a barcode', { field: 'Badge', eq: '1' }, 'FILTER_NOT_EXACT', 'not documented'],
    ['a button', { field: 'Write', isEmpty: true }, 'FILTER_NOT_EXACT', 'not documented'],
    ['an AI text', { field: 'Summary', contains: 'a' }, 'FILTER_NOT_EXACT', 'not documented'],
    [
      'many lists of ids',
      { or: Array.from({ length: 11 }, () => ({ field: 'Company', hasAnyRecord: Array(100).fill('recA') })) },
      'TOO_MANY',
      '1000 values',
    ],
    ['a looked-up date', { field: 'Close dates', eq: '2026-01-01' }, 'FILTER_NOT_EXACT', 'joined by commas'],
  ])('%s is refused before any call', async (_what, filter, code, part) => {
    const { result, calls } = await countCalls(app, () => ask({ filter }));
    expect(result.errors).toMatchObject([{ path: ['base', 'table', 'records'], extensions: { code } }]);
    expect(result.errors![0]!.message).toContain(part);
    expect(calls).toEqual({});
  });

  test('a link without a way back says so', async () => {
    const { errors } = await ask({
      t: 'Companies',
      filter: { field: 'Parent company', hasRecord: companies[0]!.id },
    });
    expect(errors).toMatchObject([
      { extensions: { code: 'FILTER_NOT_EXACT' }, message: expect.stringContaining('leads back') },
    ]);
  });

  test('a formula that grows too long is refused', async () => {
    const filter = { field: 'Name', in: Array.from({ length: 100 }, (_, n) => `${n}`.padEnd(700, 'x')) };
    const { errors } = await ask({ filter });
    expect(errors).toMatchObject([{ extensions: { code: 'TOO_MANY', max: 60_000 } }]);
  });

  test('a long one is sent, by POST', async () => {
    const filter = { field: 'Name', in: Array.from({ length: 100 }, (_, n) => `${n}`.padEnd(500, 'ü')) };
    expect(await ids({ filter })).toEqual([]);
  });

  test('hostile depth is told as such, in variables and in the document', async () => {
    // JSON.stringify itself would run out of stack.
    const nested = `${'{"not":'.repeat(20_000)}{}${'}'.repeat(20_000)}`;
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${app.adminKey}` },
      body: `{"query":${JSON.stringify(document)},"variables":{"c":${connection},"b":"${crm}","t":"Contacts","filter":${nested}}}`,
    });
    expect(await response.json()).toMatchObject({
      errors: [{ extensions: { code: 'INVALID_INPUT', max: 64 } }],
    });
    const written = (levels: number) => `${'{not:'.repeat(levels)}{}${'}'.repeat(levels)}`;
    const codes = await Promise.all(
      [50, 1_500].map(async (levels) => {
        const { errors } = await app.graphql(
          `{ base(connection: ${connection}, baseId: "${crm}") { table(id: "Contacts") { records(filter: ${written(levels)}) { nodes { id } } } } }`,
        );
        return errors?.map(({ extensions }) => extensions.code);
      }),
    );
    expect(codes).toEqual([['TOO_MANY'], ['DOCUMENT_TOO_COMPLEX']]);
  });
});
