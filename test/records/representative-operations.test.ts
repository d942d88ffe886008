import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { control, startTestApp, type TestApp, type UntypedData } from '../support/app.ts';
import { fewestCalls, type Operation } from './fewest-calls.ts';
import { allRecords, clearFaults, countCalls, crm, type KnownRecord, type TableName } from './crm.ts';

const countries = 'appWorldCountries';
let app: TestApp;
let c: number;
const tables = {} as Record<TableName, KnownRecord[]>;
/** Of the second base; `links` holds the ids of the languages. */
let lands: { id: string; nodeId: string; languages: string[] }[];

beforeAll(async () => {
  app = await startTestApp();
  c = await app.connect();
  for (const table of ['Contacts', 'Companies', 'Deals'] as const) {
    tables[table] = await allRecords(app, c, table);
  }
  const { data } = await app.graphql(
    `query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { table(id: "Countries") { records(first: 120) { nodes { id nodeId languages: value(field: "Languages") } } } } }`,
    { c, b: countries },
  );
  lands = data.base.table.records.nodes;
});
afterEach(() => clearFaults(app));
afterAll(() => app.close());

const ids = (table: TableName, from: number, to: number) => tables[table].slice(from, to).map(({ id }) => id);
const nodeIds = (table: TableName, from: number, to: number) =>
  tables[table].slice(from, to).map(({ nodeId }) => nodeId);
const linked = (table: TableName, of: Iterable<string>, field: string): string[] =>
  [...of].flatMap((id) => tables[table].find((record) => record.id === id)!.links[field]!);
const inTable = (selection: string, table = 'Contacts', more = '') =>
  `query ($c: Int!, $b: String! ${more}) { base(connection: $c, baseId: $b) { table(id: "${table}") { ${selection} } } }`;
const rows = (answer: UntypedData): number[] => [answer.data.base.table.records.nodes.length];
const name = 'text(field: "Name")';
const named = (count: number, prefix: string) =>
  Array.from({ length: count }, (_, n) => ({
    fields: { Name: `${prefix} ${n}`, Email: `${prefix}${n}@few.test` },
  }));
const target = (tableId: string) => ({ connection: c, baseId: crm, tableId });
const write = (field: string, selection = 'record { text(field: "Name") }') => {
  const type = `${field[0]!.toUpperCase()}${field.slice(1)}`;
  return `mutation ($input: ${type}Input!) { ${field}(input: $input) { __typename ... on ${type}Success { results { status recordId ${selection} } } } }`;
};
const created: string[] = [];

const operations: [string, () => Operation][] = [
  [
    'one record',
    () => ({
      document: `query ($c: Int!, $b: String!, $id: String!) { record(connection: $c, baseId: $b, tableId: "Contacts", recordId: $id) { ${name} } }`,
      variables: { id: tables.Contacts[0]!.id },
      bases: [crm],
      levels: [{ Contacts: ids('Contacts', 0, 1) }],
    }),
  ],
  [
    'one record by record, recordsById, node and nodes, each with cells of its own',
    () => ({
      document: `query ($c: Int!, $b: String!, $id: String!, $node: ID!) {
        record(connection: $c, baseId: $b, tableId: "tblDEF456", recordId: $id) { ${name} }
        base(connection: $c, baseId: $b) { table(id: "Contacts") { recordsById(ids: [$id, $id]) { number(field: "Score") } record(id: $id) { createdTime } } }
        node(id: $node) { ... on Record { checked(field: "VIP") } } nodes(ids: [$node, $node]) { ... on Record { value(field: "Email") } } }`,
      variables: { id: tables.Contacts[0]!.id, node: tables.Contacts[0]!.nodeId },
      bases: [crm],
      levels: [{ Contacts: ids('Contacts', 0, 1) }],
    }),
  ],
  [
    'all records of a table by id',
    () => ({
      document: inTable(`recordsById(ids: $ids) { ${name} }`, 'Contacts', ', $ids: [String!]!'),
      variables: { ids: ids('Contacts', 0, 1_000) },
      bases: [crm],
      levels: [{ Contacts: ids('Contacts', 0, 1_000) }],
    }),
  ],
  [
    'ids that overlap, repeat and do not exist',
    () => ({
      document: inTable(
        `a: recordsById(ids: $a) { ${name} } b: recordsById(ids: $b2) { ${name} }`,
        'Contacts',
        ', $a: [String!]!, $b2: [String!]!',
      ),
      variables: {
        a: [...ids('Contacts', 0, 80), ...ids('Contacts', 0, 80), 'recNowhere1'],
        b2: [...ids('Contacts', 40, 99), 'recNowhere1'],
      },
      bases: [crm],
      levels: [{ Contacts: [...ids('Contacts', 0, 99), 'recNowhere1'] }],
    }),
  ],
  [
    'nodes of three tables',
    () => ({
      document: `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Record { ${name} } } }`,
      variables: {
        ids: [...nodeIds('Contacts', 0, 150), ...nodeIds('Companies', 0, 40), ...nodeIds('Deals', 0, 101)],
      },
      bases: [crm],
      levels: [
        {
          Contacts: ids('Contacts', 0, 150),
          Companies: ids('Companies', 0, 40),
          Deals: ids('Deals', 0, 101),
        },
      ],
    }),
  ],
  [
    'nodes of two bases',
    () => ({
      document: `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Record { ${name} } } }`,
      variables: { ids: [...nodeIds('Contacts', 0, 5), ...lands.map(({ nodeId }) => nodeId)] },
      bases: [crm, countries],
      levels: [{ Contacts: ids('Contacts', 0, 5), Countries: lands.map(({ id }) => id) }],
    }),
  ],
  [
    'a page of one',
    () => ({
      document: inTable(`records(first: 1) { nodes { ${name} } pageInfo { hasNextPage } }`),
      bases: [crm],
      pages: () => [1],
    }),
  ],
  [
    'a page of a whole table',
    () => ({
      document: inTable('records(first: 1000) { nodes { id } }'),
      bases: [crm],
      pages: () => [tables.Contacts.length],
    }),
  ],
  [
    'a page by filter',
    () => ({
      document: inTable(
        `records(filter: { field: "Name", in: $names }) { nodes { id } }`,
        'Contacts',
        ', $names: [FilterValue!]',
      ),
      variables: { names: tables.Contacts.slice(0, 7).map((contact) => contact.name) },
      bases: [crm],
      pages: rows,
    }),
  ],
  [
    'a page by view and sort',
    () => ({
      document: inTable(
        'records(view: "Active contacts", sort: [{ field: "Score", direction: DESC }], first: 250) { nodes { id } }',
      ),
      bases: [crm],
      pages: rows,
    }),
  ],
  [
    'a page by search',
    () => ({
      document: inTable('records(search: "an", first: 500) { nodes { id } }'),
      bases: [crm],
      pages: rows,
    }),
  ],
  [
    'a page that nothing passes',
    () => ({
      document: inTable('records(search: "no such text anywhere") { nodes { id } }'),
      bases: [crm],
      pages: () => [0],
    }),
  ],
  [
    'a page of what is linked to a record',
    () => ({
      document: inTable(
        `records(filter: { field: "Company", hasRecord: $id }) { nodes { ${name} } }`,
        'Contacts',
        ', $id: String!',
      ),
      variables: { id: tables.Companies[0]!.id },
      bases: [crm],
      levels: [{ Companies: ids('Companies', 0, 1) }],
      pages: () => [tables.Companies[0]!.links['Contacts']!.length],
    }),
  ],
  [
    'pages of two tables and their structure',
    () => ({
      document: `query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) {
        tables { name fields { name } }
        x: table(id: "Contacts") { records(first: 150) { nodes { id } } } y: table(id: "Deals") { views { name } records(first: 20) { nodes { ${name} } } } } }`,
      bases: [crm],
      pages: () => [150, 20],
    }),
  ],
  [
    'pages of two bases',
    () => ({
      document: `query ($c: Int!, $b: String!) {
        x: base(connection: $c, baseId: $b) { table(id: "Contacts") { records(first: 10) { nodes { id } } } }
        y: base(connection: $c, baseId: "${countries}") { table(id: "Countries") { records(first: 120) { nodes { id } } } } }`,
      bases: [crm, countries],
      pages: () => [10, 120],
    }),
  ],
  [
    'a page and the ids and numbers of its links',
    () => ({
      document: inTable(
        'records(first: 100) { nodes { linked(field: "Deals") { id nodeId } linkedCount(field: "Company") } }',
      ),
      bases: [crm],
      pages: () => [100],
    }),
  ],
  [
    'a page and the records one link away',
    () => ({
      document: inTable(`records(first: 200) { nodes { ${name} linked(field: "Company") { ${name} } } }`),
      bases: [crm],
      pages: () => [200],
      levels: [{ Companies: linked('Contacts', ids('Contacts', 0, 200), 'Company') }],
    }),
  ],
  [
    'records, two links deep',
    () => {
      const first = linked('Deals', ids('Deals', 0, 120), 'Company');
      return {
        document: inTable(
          `recordsById(ids: $ids) { linked(field: "Company") { ${name} linked(field: "Contacts", first: 1000) { ${name} } } }`,
          'Deals',
          ', $ids: [String!]!',
        ),
        variables: { ids: ids('Deals', 0, 120) },
        bases: [crm],
        levels: [
          { Deals: ids('Deals', 0, 120) },
          { Companies: first },
          { Contacts: linked('Companies', first, 'Contacts') },
        ],
      };
    },
  ],
  [
    'a page, three links deep, by two ways that meet',
    () => {
      const roots = ids('Contacts', 0, 20);
      const companies = linked('Contacts', roots, 'Company');
      const deals = linked('Contacts', roots, 'Deals');
      const contactsOfDeals = linked('Deals', deals, 'Contacts');
      const dealsOfCompanies = linked('Companies', companies, 'Deals');
      return {
        document: inTable(`records(first: 20) { nodes {
          ${name} linked(field: "Company") { ${name} linked(field: "Deals", first: 1000) { ${name} linked(field: "Contacts", first: 1000) { ${name} } } }
          also: linked(field: "Deals", first: 1000) { ${name} linked(field: "Contacts", first: 1000) { ${name} linked(field: "Company") { ${name} } } } } }`),
        bases: [crm],
        pages: () => [20],
        levels: [
          { Companies: companies, Deals: deals },
          { Deals: dealsOfCompanies, Contacts: contactsOfDeals.filter((id) => !roots.includes(id)) },
          {
            Contacts: linked('Deals', dealsOfCompanies, 'Contacts').filter((id) => !roots.includes(id)),
            Companies: linked('Contacts', contactsOfDeals, 'Company'),
          },
        ],
      };
    },
  ],
  [
    'links within another base',
    () => ({
      document: `query ($c: Int!, $ids: [String!]!) { base(connection: $c, baseId: "${countries}") { table(id: "Countries") { recordsById(ids: $ids) { linked(field: "Languages") { ${name} } } } } }`,
      variables: { ids: lands.map(({ id }) => id) },
      bases: [countries],
      levels: [
        { Countries: lands.map(({ id }) => id) },
        { Languages: lands.flatMap(({ languages }) => languages) },
      ],
    }),
  ],
  [
    'what a directive takes out',
    () => ({
      document: `query ($c: Int!, $b: String!, $no: Boolean = false) { base(connection: $c, baseId: $b) { table(id: "Contacts") { records(first: 3) { nodes { id ... @include(if: $no) { linked(field: "Deals") { ${name} } } } } } } }`,
      bases: [crm],
      pages: () => [3],
    }),
  ],
  [
    'the same operation, twenty times at once',
    () => ({
      document: `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Record { ${name} } } }`,
      variables: { ids: nodeIds('Contacts', 0, 120) },
      times: 20,
      bases: [crm],
      levels: [{ Contacts: ids('Contacts', 0, 120) }],
    }),
  ],
  [
    'a table that does not exist beside one that does',
    () => ({
      document: `query ($c: Int!, $b: String!, $id: String!) { x: record(connection: $c, baseId: $b, tableId: "Contakts", recordId: $id) { id } y: record(connection: $c, baseId: $b, tableId: "Contacts", recordId: $id) { ${name} } }`,
      variables: { id: tables.Contacts[0]!.id },
      bases: [crm],
      levels: [{ Contacts: ids('Contacts', 0, 1) }],
      errors: ['TABLE_NOT_FOUND'],
    }),
  ],
  [
    'a base that was not granted beside one that was',
    () => ({
      document: `query ($c: Int!, $b: String!) { x: base(connection: $c, baseId: "appNope") { tables { id } } y: base(connection: $c, baseId: $b) { tables { id } } }`,
      bases: ['appNope', crm],
      errors: ['BASE_NOT_FOUND'],
    }),
  ],
  [
    'a creation, with what it wrote',
    () => ({
      document: write('createRecords'),
      variables: { input: { ...target('Contacts'), records: named(25, 'Few') } },
      bases: [crm],
      writes: [{ endpoint: 'createRecords', records: 25 }],
    }),
  ],
  [
    'an update, with what is behind the links of what it wrote',
    () => ({
      document: write('updateRecords', `record { linked(field: "Company") { ${name} } }`),
      variables: {
        input: {
          ...target('Contacts'),
          records: created
            .slice(0, 12)
            .map((id, n) => ({ id, fields: { Company: [tables.Companies[n]!.id] } })),
        },
      },
      bases: [crm],
      writes: [{ endpoint: 'updateRecords', records: 12 }],
      levels: [{ Companies: ids('Companies', 0, 12) }],
    }),
  ],
  [
    'an upsert',
    () => ({
      document: write('upsertRecords'),
      variables: {
        input: { ...target('Contacts'), fieldsToMergeOn: ['Email'], records: named(31, 'Few') },
      },
      bases: [crm],
      writes: [{ endpoint: 'updateRecords', records: 31 }],
    }),
  ],
  [
    'writes into two tables, then a read',
    () => ({
      document: `mutation ($create: CreateRecordsInput!, $update: UpdateRecordsInput!, $last: UpdateRecordsInput!) {
        createRecords(input: $create) { __typename } a: updateRecords(input: $update) { __typename }
        b: updateRecords(input: $last) { ... on UpdateRecordsSuccess { results { record { linked(field: "Company") { ${name} } } } } } }`,
      variables: {
        create: {
          ...target('Deals'),
          records: Array.from({ length: 11 }, () => ({ fields: { Name: 'D' } })),
        },
        update: {
          ...target('Companies'),
          records: ids('Companies', 0, 3).map((id) => ({ id, fields: { Employees: 3 } })),
        },
        last: { ...target('Contacts'), records: [{ id: created[0], fields: { Name: 'Last' } }] },
      },
      bases: [crm],
      writes: [
        { endpoint: 'createRecords', records: 11 },
        { endpoint: 'updateRecords', records: 3 },
        { endpoint: 'updateRecords', records: 1 },
      ],
      levels: [{ Companies: ids('Companies', 0, 1) }],
    }),
  ],
  [
    'a write that is only checked',
    () => ({
      document: write('createRecords'),
      variables: { input: { ...target('Contacts'), records: named(25, 'Never'), validateOnly: true } },
      bases: [crm],
    }),
  ],
  [
    'a deletion',
    () => ({
      document: write('deleteRecords', ''),
      variables: { input: { ...target('Contacts'), ids: created.slice(0, 21) } },
      bases: [crm],
      writes: [{ endpoint: 'deleteRecords', records: 21 }],
    }),
  ],
];

/* Cold each time: no schema is known, and what an answer of one operation told is gone with it. */
test.each(operations)('%s: the fewest calls that answer it', async (_, describeOperation) => {
  const operation = describeOperation();
  for (const base of [crm, countries]) app.app.baseSchemas.forget(base);
  const { times = 1 } = operation;
  // What is asked at once has to meet on the way.
  if (times > 1)
    await control(app.sandbox.url, 'faults', { kind: 'delay', effect: 'after', delayMs: 1_000, times: null });
  const { result: answers, calls } = await countCalls(app, () =>
    Promise.all(
      Array.from({ length: times }, () =>
        app.graphql(operation.document, { c, b: crm, ...operation.variables }),
      ),
    ),
  );
  const [answer] = answers;
  expect((answer!.errors ?? []).map(({ extensions }) => extensions.code)).toEqual(operation.errors ?? []);
  const fewest = fewestCalls(operation, answer);
  expect(calls).toEqual(fewest);
  const told = answers.reduce((sum, { extensions }) => sum + (extensions?.upstream?.calls ?? 0), 0);
  expect(told).toBe(Object.values(fewest).reduce((sum, count) => sum + count, 0));

  // Ids for the operations that follow.
  const results = answer!.data?.createRecords?.results;
  if (results?.[0]?.recordId) created.push(...results.map(({ recordId }: UntypedData) => recordId));
});
