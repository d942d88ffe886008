import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { clearFaults, countCalls, crm } from './crm.ts';

let app: TestApp;
let connection: number;

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterEach(() => clearFaults(app));
afterAll(() => app.close());

const results = 'results { index status recordId record { id text(field: "Name") } error { code message } }';
const write = (field: string, type: string) =>
  `mutation ($input: ${type}!) { ${field}(input: $input) { __typename ... on Error { code message } ... on ${type.replace('Input', 'Success')} { written ${results} } } }`;

async function send(field: 'createRecords' | 'updateRecords' | 'deleteRecords', input: object) {
  const type = `${field[0]!.toUpperCase()}${field.slice(1)}Input`;
  const answer = await app.graphql(write(field, type), {
    input: { connection, baseId: crm, tableId: 'Contacts', ...input },
  });
  return { ...answer.data?.[field], errors: answer.errors };
}

const named = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => ({ fields: { Name: `Person ${from + n}` } }));
const statuses = (answer: { results: { status: string }[] }) => answer.results.map(({ status }) => status);
const times = (count: number, status: string) => Array.from({ length: count }, () => status);

test('25 records are created in three calls, updated by name or id of the field, and deleted', async () => {
  const { result: created, calls } = await countCalls(app, () =>
    send('createRecords', { records: named(0, 25) }),
  );
  expect(created.errors).toBeUndefined();
  expect(calls.createRecords).toBe(Math.ceil(25 / 10));
  expect(created.written).toBe(25);
  expect(created.results[24]).toMatchObject({
    index: 24,
    status: 'WRITTEN',
    record: { text: 'Person 24' },
    error: null,
  });

  const ids: string[] = created.results.map(({ recordId }: { recordId: string }) => recordId);
  const schema = await app.graphql(
    `query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { table(id: "Contacts") { field(id: "Name") { id } } } }`,
    { c: connection, b: crm },
  );
  const nameField: string = schema.data.base.table.field.id;
  const updated = await send('updateRecords', {
    records: ids.map((id, index) => ({
      id,
      fields: { [index % 2 ? 'Name' : nameField]: `Changed ${index}` },
    })),
  });
  expect(updated.results.map(({ record }: { record: { text: string } }) => record.text)).toEqual(
    ids.map((_, index) => `Changed ${index}`),
  );

  const deleted = await send('deleteRecords', { ids });
  expect(deleted).toMatchObject({ written: 25 });
  const gone = await app.graphql(
    `query ($c: Int!, $b: String!, $ids: [String!]!) { base(connection: $c, baseId: $b) { table(id: "Contacts") { recordsById(ids: $ids) { id } } } }`,
    { c: connection, b: crm, ids },
  );
  expect(gone.data.base.table.recordsById).toEqual(ids.map(() => null));
});

test('a ten that is refused fails as a whole and alone', async () => {
  const records = named(100, 130).map((record, index) =>
    index === 14 ? { fields: { Name: 'Bad', Score: 'not a number' } } : record,
  );
  const answer = await send('createRecords', { records });
  expect(statuses(answer)).toEqual([
    ...times(10, 'WRITTEN'),
    ...times(10, 'FAILED'),
    ...times(10, 'WRITTEN'),
  ]);
  expect(answer.results[10]).toMatchObject({
    record: null,
    recordId: null,
    error: { code: 'UPSTREAM_REJECTED', message: expect.stringContaining('INVALID_VALUE_FOR_COLUMN') },
  });
});

test('a record with an unknown field fails alone, before anything is sent', async () => {
  const records = named(200, 210).map((record, index) => (index === 3 ? { fields: { Nmae: 'x' } } : record));
  const { result: answer, calls } = await countCalls(app, () => send('createRecords', { records }));
  expect(answer.errors).toBeUndefined();
  expect(statuses(answer)).toEqual([...times(3, 'WRITTEN'), 'FAILED', ...times(6, 'WRITTEN')]);
  expect(answer.results[3].error).toMatchObject({
    code: 'FIELD_NOT_FOUND',
    message: expect.stringContaining('Did you mean "Name"?'),
  });
  expect(calls.createRecords).toBe(1);
});

test('a creation whose answer is lost is OUTCOME_UNKNOWN and is not sent again', async () => {
  await control(app.sandbox.url, 'faults', {
    match: { method: 'POST', path: `/v0/${crm}/tblDEF456` },
    after: 1,
    times: 1,
    kind: 'reset',
    effect: 'after',
  });
  const { result: answer, calls } = await countCalls(app, () =>
    send('createRecords', { records: named(300, 325) }),
  );
  expect(statuses(answer)).toEqual([
    ...times(10, 'WRITTEN'),
    ...times(10, 'OUTCOME_UNKNOWN'),
    ...times(5, 'WRITTEN'),
  ]);
  expect(calls.createRecords).toBe(3);
  const found = await app.graphql(
    `query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { table(id: "Contacts") { records(first: 100, formula: "LEFT({Name}, 8) = 'Person 3'") { nodes { id } } } } }`,
    { c: connection, b: crm },
  );
  expect(found.data.base.table.records.nodes).toHaveLength(25);
});

test('an update whose answer is lost is sent again', async () => {
  const created = await send('createRecords', { records: named(400, 401) });
  await control(app.sandbox.url, 'faults', {
    match: { method: 'PATCH', path: `/v0/${crm}/tblDEF456` },
    times: 1,
    kind: 'reset',
    effect: 'after',
  });
  const answer = await send('updateRecords', {
    records: [{ id: created.results[0].recordId, fields: { Name: 'Twice' } }],
  });
  expect(answer.results).toMatchObject([{ status: 'WRITTEN', record: { text: 'Twice' } }]);
});

test('what the caller allows no more calls for is NOT_SENT', async () => {
  const answer = await app.graphql(
    write('createRecords', 'CreateRecordsInput'),
    { input: { connection, baseId: crm, tableId: 'Contacts', records: named(500, 525) } },
    { headers: { 'x-upstream-max-calls': '2' } },
  );
  const { results: told } = answer.data.createRecords;
  expect(statuses({ results: told })).toEqual([...times(20, 'WRITTEN'), ...times(5, 'NOT_SENT')]);
  expect(told[24].error.code).toBe('UPSTREAM_CALLS_EXCEEDED');
});

test('what is read after a write in the same operation is what was written', async () => {
  const created = await send('createRecords', { records: named(600, 601) });
  const id: string = created.results[0].recordId;
  const select = `... on UpdateRecordsSuccess { results { record { text(field: "Name") linked(field: "Company") { text(field: "Name") } } } }`;
  const companies = await app.graphql(
    `query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { table(id: "Companies") { records(first: 1) { nodes { id } } } } }`,
    { c: connection, b: crm },
  );
  const company: string = companies.data.base.table.records.nodes[0].id;
  const answer = await app.graphql(
    `mutation ($a: UpdateRecordsInput!, $b: UpdateRecordsInput!, $again: UpdateRecordsInput!) {
       first: updateRecords(input: $a) { ${select} } second: updateRecords(input: $b) { __typename } third: updateRecords(input: $again) { ${select} } }`,
    {
      a: { connection, baseId: crm, tableId: 'Contacts', records: [{ id, fields: { Company: [company] } }] },
      b: {
        connection,
        baseId: crm,
        tableId: 'Companies',
        records: [{ id: company, fields: { Name: 'Renamed Inc' } }],
      },
      again: { connection, baseId: crm, tableId: 'Contacts', records: [{ id, fields: { Name: 'Last' } }] },
    },
  );
  expect(answer.errors).toBeUndefined();
  expect(answer.data.first.results[0].record.linked[0].text).not.toBe('Renamed Inc');
  expect(answer.data.third.results[0].record).toEqual({ text: 'Last', linked: [{ text: 'Renamed Inc' }] });
});

test('bad ids and repeated ids fail alone', async () => {
  const created = await send('createRecords', { records: named(700, 701) });
  const id: string = created.results[0].recordId;
  const answer = await send('deleteRecords', { ids: ['rec/../x', id, id] });
  expect(statuses(answer)).toEqual(['FAILED', 'WRITTEN', 'FAILED']);
});

test.each([
  ['more than 1,000 records', { records: named(0, 1_001) }, 'TOO_MANY'],
  ['an unknown table', { records: named(0, 1), tableId: 'Contcats' }, 'TABLE_NOT_FOUND'],
  ['a malformed base id', { records: named(0, 1), baseId: 'app/../x' }, 'INVALID_INPUT'],
])('%s: nothing is written', async (_what, input, code) => {
  const { result: answer, calls } = await countCalls(app, () => send('createRecords', input));
  expect(answer.code ?? answer.errors?.[0]?.extensions.code).toBe(code);
  expect(calls.createRecords).toBeUndefined();
});

test('no records, and cells that are no object, are told as faults of the input', async () => {
  expect(await send('createRecords', { records: [] })).toMatchObject({ __typename: 'InvalidInputError' });
  expect(await send('createRecords', { records: [{ fields: 'x' }] })).toMatchObject({
    __typename: 'InvalidInputError',
  });
});

test('an unknown connection is a member of the result', async () => {
  expect(await send('createRecords', { connection: 4_711, records: named(0, 1) })).toMatchObject({
    __typename: 'ConnectionNotFoundError',
  });
});
