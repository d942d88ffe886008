import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import getPort from 'get-port';
import { ServerProcess } from '../local/server-process.ts';
import { control, startTestApp, type TestApp, type UntypedData } from '../support/app.ts';
import { clearFaults, crm } from './crm.ts';

/** A start takes seconds on a busy machine. */
const startTimeoutMs = 60_000;

let app: TestApp;
let connection: number;
/** Two further instances on the same database, as processes: one for each way to end. */
let toKill: ServerProcess;
let toStop: ServerProcess;
const urls = new Map<ServerProcess, string>();
beforeAll(async () => {
  app = await startTestApp();
  [toKill, toStop] = [await startProcess(), await startProcess()];
  [connection] = await Promise.all([
    app.connect(),
    ...[toKill, toStop].map((server) => server.written(/"msg":"ready"/)),
  ] as const);
}, startTimeoutMs);
afterEach(() => clearFaults(app));
afterAll(async () => {
  await Promise.all([toKill, toStop].map((server) => server.ended('SIGKILL')));
  await app.close();
});

async function startProcess(): Promise<ServerProcess> {
  const port = await getPort();
  const url = `http://127.0.0.1:${port}`;
  const { encryptionKeys } = app.app.config;
  const server = ServerProcess.compiled({
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    PORT: String(port),
    PUBLIC_URL: url,
    DATABASE_URL: app.database.url,
    CALENDLY_API_URL: app.sandbox.url,
    CALENDLY_OAUTH_URL: app.sandbox.url,
    ENCRYPTION_KEYS: encryptionKeys.map(({ id, key }) => `${id}:${key.toString('base64')}`).join(','),
    ADMIN_API_KEY: app.adminKey,
  });
  urls.set(server, url);
  return server;
}

const document = `mutation ($input: CreateRecordsInput!) { createRecords(input: $input) { ... on Error { message } ... on CreateRecordsSuccess { replayed results { status error { code } } } } }`;

const input = (idempotencyKey: string, count: number) => ({
  connection,
  baseId: crm,
  tableId: 'Contacts',
  idempotencyKey,
  records: Array.from({ length: count }, (_, n) => ({ fields: { Name: `${idempotencyKey} ${n}` } })),
});

async function sendTo(server: ServerProcess, variables: object): Promise<UntypedData> {
  const response = await fetch(`${urls.get(server)}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${app.adminKey}` },
    body: JSON.stringify({ query: document, variables }),
  });
  return response.json();
}

async function createCalls(count: number): Promise<void> {
  for (;;) {
    const { byEndpoint } = await control(app.sandbox.url, 'calls');
    if ((byEndpoint.createRecords ?? 0) >= count) return;
  }
}

async function answersSlowly(delayMs: number): Promise<void> {
  await fetch(`${app.sandbox.url}/_control/calls`, { method: 'DELETE' });
  await control(app.sandbox.url, 'faults', {
    match: { method: 'POST', path: `/v0/${crm}/tblDEF456` },
    times: 1,
    kind: 'delay',
    effect: 'after',
    delayMs,
  });
}

test('SIGKILL between sending a creation and storing its answer, then the same key: unknown, and one effect', async () => {
  await answersSlowly(30_000);
  const write = input('killed', 15);
  const cut = sendTo(toKill, { input: write }).catch(() => 'cut');
  await createCalls(1);
  await toKill.ended('SIGKILL');
  expect(await cut).toBe('cut');
  // The dead instance renews its lease no more; the test does not wait until it has run out.
  await app.database.query(`UPDATE write_operations SET lease_until = now() - interval '1 second'`);
  const again = await app.graphql(document, { input: write });
  const statuses = again.data.createRecords.results.map(({ status }: { status: string }) => status);
  expect(statuses).toEqual([
    ...Array.from({ length: 10 }, () => 'OUTCOME_UNKNOWN'),
    ...Array.from({ length: 5 }, () => 'NOT_SENT'),
  ]);
  const { writes } = await control<{ writes: object[] }>(app.sandbox.url, 'writes');
  expect(writes).toHaveLength(1);
});

test('SIGTERM in the middle of a long write: the call in flight ends, the rest is NOT_SENT', async () => {
  await answersSlowly(700);
  const sending = sendTo(toStop, { input: input('stopped', 500) });
  await createCalls(1);
  const ended = toStop.ended('SIGTERM');
  const answer = await sending;
  const answeredAt = performance.now();
  expect(await ended).toBe(0);
  // The client keeps its connection for further requests, and the process does not wait for those.
  expect(performance.now() - answeredAt).toBeLessThan(5_000);
  const { results } = answer.data.createRecords;
  expect(results.slice(0, 10)).toEqual(
    Array.from({ length: 10 }, () => ({ status: 'WRITTEN', error: null })),
  );
  expect(results.slice(10)).toEqual(
    Array.from({ length: 490 }, () => ({ status: 'NOT_SENT', error: { code: 'SHUTTING_DOWN' } })),
  );
});
