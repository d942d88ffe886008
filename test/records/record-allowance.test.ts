import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { maxRecordsPerOperation } from '../../src/records/record-allowance.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { crm } from './crm.ts';

let app: TestApp;
let connection: number;

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterAll(() => app.close());

/** Companies to begin with: a few more than whose links stay within the allowance. Each list refused is an error to make. */
const companies = 12;

/** Links from companies to their contacts and back, as many times as a document may be deep. */
function backAndForth(hops: number, innermost: string): string {
  let selection = innermost;
  for (let hop = hops; hop > 0; hop -= 1)
    selection = `id linked(field: "${hop % 2 === 1 ? 'Contacts' : 'Company'}", first: 1000) { ${selection} }`;
  return selection;
}

test.each([
  ['looked up', 'id text(field: "Name")'],
  ['told by links alone', 'id'],
])('an operation gives no more records than it may, where they are %s', async (_, innermost) => {
  const answer = await app.graphql(
    `query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { table(id: "Companies") { records(first: ${companies}) { nodes { ${backAndForth(7, innermost)} } } } } }`,
    { c: connection, b: crm },
  );
  const codes = new Set(answer.errors?.map(({ extensions }) => extensions.code));
  expect(codes).toEqual(new Set(['TOO_MANY']));
  expect(answer.errors?.[0]).toMatchObject({ extensions: { max: maxRecordsPerOperation } });
  const given = JSON.stringify(answer.data).match(/"id":"rec/g)?.length ?? 0;
  expect(given).toBeGreaterThan(1_000);
  expect(given).toBeLessThanOrEqual(maxRecordsPerOperation);
});

test('the records of pages count as well', async () => {
  const answer = await app.graphql(
    `query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { table(id: "Contacts") {
       records(first: 200) { nodes { id table { records(first: 200) { nodes { id } } } } } } } }`,
    { c: connection, b: crm },
  );
  expect(answer.errors?.[0]).toMatchObject({ extensions: { code: 'TOO_MANY' } });
  const given = JSON.stringify(answer.data).match(/"id":"rec/g)?.length ?? 0;
  expect(given).toBeLessThanOrEqual(maxRecordsPerOperation);
  expect(given).toBeGreaterThan(maxRecordsPerOperation - 400);
});
