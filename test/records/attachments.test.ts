import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { systemClock } from '../../src/clock.ts';
import { control, startTestApp, type TestApp, type UntypedData } from '../support/app.ts';
import { countCalls, crm } from './crm.ts';

const lifetimeMs = 2 * 3_600_000;
let aheadMs = 0;
let app: TestApp;
let connection: number;

beforeAll(async () => {
  // A clock that a test can move, like the sandbox's own.
  app = await startTestApp({ clock: { now: () => systemClock.now() + aheadMs } });
  connection = await app.connect();
});
afterAll(() => app.close());

const files =
  'attachments(field: "Avatar") { id filename size type url urlExpiresAt width height thumbnails { small { url width height } large { width } full { height } } }';
const ask = (selection: string, table = 'Contacts') =>
  app.graphql(
    `query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { table(id: "${table}") { ${selection} } } }`,
    { c: connection, b: crm },
  );

test('the files of a cell come typed, with the time until which their addresses work', async () => {
  const from = Date.now();
  const { result: answer, calls } = await countCalls(app, () =>
    ask(`records(first: 250) { nodes { id raw: value(field: "Avatar") ${files} } }`),
  );
  const until = Date.now();
  expect(answer.errors).toBeUndefined();
  expect(calls.listRecords).toBe(3);
  const { nodes } = answer.data.base.table.records;
  const withFiles = nodes.filter(({ raw }: UntypedData) => raw.length > 0);
  expect(withFiles.length).toBeGreaterThan(0);
  expect(withFiles.length).toBeLessThan(nodes.length);
  for (const { raw, attachments } of nodes) {
    expect(attachments).toHaveLength(raw.length);
    for (const [index, file] of attachments.entries()) {
      const { id, filename, size, type, url, thumbnails } = raw[index];
      expect(file).toMatchObject({ id, filename, size, type, url });
      expect(file.thumbnails?.small ?? null).toEqual(thumbnails?.small ?? null);
      const expiresAt = Date.parse(file.urlExpiresAt);
      expect(expiresAt).toBeGreaterThanOrEqual(from + lifetimeMs);
      expect(expiresAt).toBeLessThanOrEqual(until + lifetimeMs);
    }
  }
  const [file] = withFiles[0].attachments;
  expect((await fetch(file.url)).status).toBe(200);
});

test('the time is that of the read, by id as well, and nothing works after it that should not', async () => {
  const page = await ask(`records(first: 100) { nodes { id ${files} } }`);
  const { id } = page.data.base.table.records.nodes.find(
    ({ attachments }: UntypedData) => attachments.length > 0,
  );
  const read = async () =>
    (await ask(`record(id: "${id}") { ${files} }`)).data.base.table.record.attachments[0];
  const before = await read();
  aheadMs += lifetimeMs + 60_000;
  // The grant's token is older than it lives by now; it renews itself.
  await control(app.sandbox.url, 'clock', { advanceMs: lifetimeMs + 60_000 });
  expect((await fetch(before.url)).status).not.toBe(200);
  const after = await read();
  expect((await fetch(after.url)).status).toBe(200);
  expect(Date.parse(after.urlExpiresAt) - Date.parse(before.urlExpiresAt)).toBeGreaterThanOrEqual(lifetimeMs);
});

test('a field of another type is told so, and an empty cell is an empty list', async () => {
  const answer = await ask('records(first: 1) { nodes { attachments(field: "Name") { id } } }');
  expect(answer.data.base.table.records.nodes).toEqual([{ attachments: null }]);
  expect(answer.errors?.[0]?.extensions.code).toBe('FIELD_TYPE_MISMATCH');
});

test('a record that was written without a file that the service could not fetch says so, also when it is told again', async () => {
  const file = (host: string) => [{ url: `https://${host}/photo.png` }];
  const input = {
    connection,
    baseId: crm,
    tableId: 'Contacts',
    idempotencyKey: 'files',
    records: [
      { fields: { Name: 'Without', Avatar: file('nowhere.invalid') } },
      { fields: { Name: 'Beside it' } },
    ],
  };
  const send = () =>
    app.graphql(
      `mutation ($input: CreateRecordsInput!) { createRecords(input: $input) { ... on CreateRecordsSuccess { results { status warning error { code } } } } }`,
      { input },
    );
  for (const answer of [await send(), await send()])
    expect(answer.data.createRecords.results).toEqual([
      {
        status: 'WRITTEN',
        warning: expect.stringMatching(/attachmentsFailedUploading.*"Avatar"/),
        error: null,
      },
      { status: 'WRITTEN', warning: null, error: null },
    ]);
});
