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

async function send(
  field: 'createRecords' | 'updateRecords' | 'deleteRecords',
  input: object,
  headers: Record<string, string> = {},
) {
  const type = `${field[0]!.toUpperCase()}${field.slice(1)}Input`;
  const variables = { input: { connection, baseId: crm, tableId: 'Contacts', ...input } };
  const answer = await app.graphql(write(field, type), variables, { headers });
  return { ...answer.data?.[field], errors: answer.errors };
}

/** Waits until the sandbox has got so many calls since counting began. */
async function callsReach(endpoint: string, count: number) {
  for (;;) {
    const { byEndpoint } = await control(app.sandbox.url, 'calls');
    if ((byEndpoint[endpoint] ?? 0) >= count) return;
  }
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
    index === 14 ? { fields: { Name: 'Bad', Company: ['recNobodyHasThis1'] } } : record,
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
    error: { code: 'RECORD_NOT_FOUND', message: expect.stringContaining('ROW_DOES_NOT_EXIST') },
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

test('a write that runs out of time sends nothing whose answer could not be waited for', async () => {
  await control(app.sandbox.url, 'faults', {
    match: { method: 'POST', path: `/v0/${crm}/tblDEF456` },
    times: null,
    kind: 'delay',
    effect: 'after',
    delayMs: 200,
  });
  const answer = await send('createRecords', { records: named(0, 100) }, { 'x-deadline-ms': '1100' });
  expect(answer.results[0]).toMatchObject({ status: 'WRITTEN' });
  expect(answer.results[99]).toMatchObject({ status: 'NOT_SENT', error: { code: 'DEADLINE_EXCEEDED' } });
  expect(new Set(statuses(answer))).toEqual(new Set(['WRITTEN', 'NOT_SENT']));
});

test('a ten that is forbidden fails alone, a second in a row ends the write', async () => {
  const { results: created } = await send('createRecords', { records: named(0, 40) });
  const ids = created.map(({ recordId }: { recordId: string }) => recordId);
  const forbid = (count: number) =>
    control(app.sandbox.url, 'faults', {
      match: { method: 'DELETE', path: `/v0/${crm}/tblDEF456` },
      times: count,
      kind: 'status',
      status: 403,
    });
  await forbid(1);
  expect(statuses(await send('deleteRecords', { ids: ids.slice(0, 20) }))).toEqual([
    ...times(10, 'FAILED'),
    ...times(10, 'WRITTEN'),
  ]);
  await forbid(2);
  expect(statuses(await send('deleteRecords', { ids: [...ids.slice(0, 10), ...ids.slice(20)] }))).toEqual([
    ...times(20, 'FAILED'),
    ...times(10, 'NOT_SENT'),
  ]);
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

test('what one field of a mutation has written is told although another fails', async () => {
  const select = '{ ... on CreateRecordsSuccess { written } }';
  const input = { connection, baseId: crm, tableId: 'Contacts', records: named(800, 801) };
  const answer = await app.graphql(
    `mutation ($good: CreateRecordsInput!, $bad: CreateRecordsInput!) { good: createRecords(input: $good) ${select} bad: createRecords(input: $bad) ${select} }`,
    { good: input, bad: { ...input, tableId: 'Contcats' } },
  );
  expect(answer.data).toEqual({ good: { written: 1 }, bad: null });
  expect(answer.errors).toMatchObject([{ path: ['bad'], extensions: { code: 'TABLE_NOT_FOUND' } }]);
});

test('when our database fails in the middle, what was written is told, and the rest is NOT_SENT', async () => {
  await control(app.sandbox.url, 'faults', {
    match: { method: 'POST', path: `/v0/${crm}/tblDEF456` },
    after: 1,
    times: 1,
    kind: 'delay',
    effect: 'after',
    delayMs: 60_000,
  });
  const { result: answer, calls } = await countCalls(app, async () => {
    const sending = send('createRecords', { records: named(900, 935) });
    await callsReach('createRecords', 2);
    await app.database.query('ALTER TABLE connection_secrets RENAME TO out_of_reach');
    app.sandbox.context.faults.clear();
    try {
      return await sending;
    } finally {
      await app.database.query('ALTER TABLE out_of_reach RENAME TO connection_secrets');
    }
  });
  expect(answer.errors).toBeUndefined();
  expect(statuses(answer)).toEqual([...times(20, 'WRITTEN'), ...times(15, 'NOT_SENT')]);
  expect(answer.results[34].error.code).toBe('INTERNAL');
  expect(calls.createRecords).toBe(2);
  expect(app.logs.text).toContain('connection_secrets');
});

test('what could not leave for want of a token is NOT_SENT', async () => {
  const other = await app.connect();
  const place = { connection: other, records: named(940, 955) };
  await send('createRecords', { ...place, records: named(936, 937) });
  await control(app.sandbox.url, 'faults', {
    match: { path: '/oauth2/v1/token' },
    times: 100,
    kind: 'status',
    status: 503,
  });
  await app.database.query('UPDATE connections SET access_token_expires_at = now() WHERE id = $1', [other]);
  const answer = await send('createRecords', place);
  expect(statuses(answer)).toEqual(times(15, 'NOT_SENT'));
  expect(answer.results[0].error.code).toBe('UPSTREAM_UNAVAILABLE');
});

test.each([
  ['a lookup', (id: string) => `record(id: "${id}") { text(field: "Name") }`],
  ['a page', (id: string) => `records(formula: "RECORD_ID() = '${id}'") { nodes { text(field: "Name") } }`],
])('what is read right after a write joins no read that left before it: %s', async (_, select) => {
  const created = await send('createRecords', { records: [{ fields: { Name: 'Before' } }] });
  const id: string = created.results[0].recordId;
  const read = async () => {
    const answer = await app.graphql(
      `query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { table(id: "Contacts") { ${select(id)} } } }`,
      { c: connection, b: crm },
    );
    return JSON.stringify(answer.data);
  };
  await control(app.sandbox.url, 'faults', {
    match: { method: 'GET', path: `/v0/${crm}/tblDEF456` },
    times: 1,
    kind: 'delay',
    effect: 'after',
    delayMs: 60_000,
  });
  await countCalls(app, async () => {
    const early = read();
    await callsReach('listRecords', 1);
    await send('updateRecords', { records: [{ id, fields: { Name: 'After' } }] });
    expect(await read()).toContain('After');
    app.sandbox.context.faults.clear();
    expect(await early).toContain('Before');
  });
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

test.each([
  ['a malformed base id', { baseId: 'app/../x' }, 'baseId', 'is not a base id'],
  ['a number that no connection has', { connection: 0 }, 'connection', 'ID must be a positive integer'],
])('%s is told as a fault of the input', async (_, fault, place, message) => {
  const answer = await app.graphql(
    'mutation ($input: DeleteRecordsInput!) { deleteRecords(input: $input) { ... on InvalidInputError { faults { path message } } } }',
    { input: { connection, baseId: crm, tableId: 'Contacts', ids: ['rec1'], ...fault } },
  );
  expect(answer.data).toEqual({
    deleteRecords: { faults: [{ path: [place], message: expect.stringContaining(message) }] },
  });
});

test('an unknown connection is a member of the result', async () => {
  expect(await send('createRecords', { connection: 4_711, records: named(0, 1) })).toMatchObject({
    __typename: 'ConnectionNotFoundError',
  });
});
