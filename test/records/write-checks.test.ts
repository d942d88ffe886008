import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestApp, type TestApp } from '../support/app.ts';
import { countCalls, crm } from './crm.ts';

let app: TestApp;
let connection: number;
beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterAll(() => app.close());

const told =
  'written upstreamCalls faultCount faults { path code message } results { index status effect recordId record { text(field: "Name") } error { code message } }';

async function send(
  field: 'createRecords' | 'updateRecords' | 'upsertRecords' | 'deleteRecords',
  input: object,
) {
  const type = `${field[0]!.toUpperCase()}${field.slice(1)}`;
  const answer = await app.graphql(
    `mutation ($input: ${type}Input!) { ${field}(input: $input) { __typename ... on Error { code message } ... on InvalidInputError { faults { path message } } ... on ${type}Success { ${told.replace('faults {', 'wrong: faults {')} } } }`,
    { input: { connection, baseId: crm, tableId: 'Contacts', ...input } },
  );
  return { ...answer.data?.[field], errors: answer.errors };
}

test('an upsert creates what has no match, updates what has one, and says which', async () => {
  const person = (email: string, name: string) => ({ fields: { Email: email, Name: name } });
  const first = await send('upsertRecords', {
    fieldsToMergeOn: ['Email'],
    records: [person('a@upsert.test', 'A'), person('b@upsert.test', 'B')],
  });
  expect(first.results).toMatchObject([{ effect: 'CREATED' }, { effect: 'CREATED' }]);
  const { result: second, calls } = await countCalls(app, () =>
    send('upsertRecords', {
      fieldsToMergeOn: ['Email'],
      records: [
        person('b@upsert.test', 'B2'),
        person('c@upsert.test', 'C'),
        { id: first.results[0].recordId, fields: { Name: 'A2' } },
      ],
    }),
  );
  expect(second.results).toMatchObject([
    { effect: 'UPDATED', recordId: first.results[1].recordId, record: { text: 'B2' } },
    { effect: 'CREATED', record: { text: 'C' } },
    { effect: 'UPDATED', recordId: first.results[0].recordId, record: { text: 'A2' } },
  ]);
  expect(calls.upsertRecords ?? calls.updateRecords).toBe(1);
});

test.each([
  ['none', [], '"fieldsToMergeOn" must name 1 to 3 fields, not 0.'],
  ['four', ['Name', 'Email', 'Score', 'Status'], '"fieldsToMergeOn" must name 1 to 3 fields, not 4.'],
  ['one twice', ['Email', 'Email'], '"fieldsToMergeOn" names "Email" twice.'],
  ['a link', ['Company'], 'Records cannot be merged on "Company" of type multipleRecordLinks.'],
])('fields to merge on: %s is refused before anything is sent', async (_, fieldsToMergeOn, message) => {
  const answer = await send('upsertRecords', { fieldsToMergeOn, records: [{ fields: { Name: 'x' } }] });
  expect(answer).toMatchObject({
    __typename: 'InvalidInputError',
    faults: [{ path: ['fieldsToMergeOn'], message: expect.stringContaining(message) }],
  });
});

test('an upsert refuses records with nothing to merge on, and two that would be one', async () => {
  const answer = await send('upsertRecords', {
    fieldsToMergeOn: ['Email'],
    validateOnly: true,
    records: [
      { fields: { Name: 'no address' } },
      { fields: { Email: 'same@upsert.test' } },
      { fields: { Email: 'same@upsert.test' } },
      { fields: { Email: null, Name: 'empty' } },
      { fields: { Email: '', Name: 'empty as well' } },
    ],
  });
  expect(answer.wrong.map(({ path }: { path: string[] }) => path.join('.'))).toEqual([
    'records.0.fields.Email',
    'records.2.fields',
    'records.3.fields.Email',
    'records.4.fields.Email',
  ]);
});

test('validateOnly sends nothing, tells all faults and how many calls it would take', async () => {
  const records = Array.from({ length: 25 }, (_, n) => ({ fields: { Name: `Never ${n}` } }));
  records[3] = { fields: { Nmae: 'x', Score: 'high' } } as never;
  const { result: answer, calls } = await countCalls(app, () =>
    send('createRecords', { records, validateOnly: true }),
  );
  expect(calls.createRecords).toBeUndefined();
  expect(answer).toMatchObject({ written: 0, upstreamCalls: Math.ceil(24 / 10), faultCount: 2 });
  expect(answer.wrong).toMatchObject([
    { path: ['records', '3', 'fields', 'Nmae'], code: 'FIELD_NOT_FOUND' },
    { path: ['records', '3', 'fields', 'Score'], code: 'INVALID_INPUT' },
  ]);
  expect(answer.results[3]).toMatchObject({
    status: 'FAILED',
    error: { message: expect.stringMatching(/\(and 1 more: see "faults"\)$/) },
  });
  expect(answer.results[4]).toMatchObject({ status: 'NOT_SENT', error: null });
});

test('of many faults a hundred are listed and all are counted', async () => {
  const records = Array.from({ length: 150 }, () => ({ fields: { Score: 'high' } }));
  const answer = await send('createRecords', { records });
  expect(answer).toMatchObject({ faultCount: 150, upstreamCalls: 0 });
  expect(answer.wrong).toHaveLength(100);
});

test('what was meant is looked for as often as faults are listed, and no longer', async () => {
  const misspelt = Array.from({ length: 75 }, () => ({ fields: { Nmae: 'x', Status: 'Actve' } }));
  const answer = await send('createRecords', { records: [...misspelt, { fields: { Status: 'Actve' } }] });
  expect(answer.faultCount).toBe(151);
  for (const { message } of answer.wrong) expect(message).toMatch(/Did you mean "(Name|Active)"\?/);
  expect(answer.results[50].error.message).toBe(
    'The table "Contacts" has no field "Nmae". (and 1 more: see "faults")',
  );
  expect(answer.results[75].error.message).not.toContain('Did you mean');
});

test('a choice that typecast has just added is known to the next write', async () => {
  const input = (typecast: boolean) => ({
    connection,
    baseId: crm,
    tableId: 'Contacts',
    typecast,
    records: [{ fields: { Name: 'Chooser', Status: 'Brand new' } }],
  });
  const select = '{ ... on CreateRecordsSuccess { written results { error { message } } } }';
  const answer = await app.graphql(
    `mutation ($a: CreateRecordsInput!, $b: CreateRecordsInput!, $c: CreateRecordsInput!) {
      before: createRecords(input: $a) ${select} cast: createRecords(input: $b) ${select} after: createRecords(input: $c) ${select} }`,
    { a: input(false), b: input(true), c: input(false) },
  );
  expect(answer.data).toMatchObject({ before: { written: 0 }, cast: { written: 1 }, after: { written: 1 } });
});
