import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createSandbox, type Sandbox } from '../../../sandbox/sandbox.ts';
import { grantToken } from '../../support/sandbox-grant.ts';

let folder: string;
let open: Sandbox[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sandbox-restart-'));
  open = [];
});
afterEach(async () => {
  for (const sandbox of open) await sandbox.close();
  rmSync(folder, { recursive: true });
});

async function start(): Promise<Sandbox> {
  const sandbox = await createSandbox({ size: 'small', dataDir: folder });
  open.push(sandbox);
  return sandbox;
}

async function restart(): Promise<Sandbox> {
  await open.pop()?.close();
  return start();
}

async function call<Body>(
  sandbox: Sandbox,
  token: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Body> {
  const response = await fetch(`${sandbox.url}/v0${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as Body;
}

const CONTACTS = '/appABC123/tblDEF456';

test('records, tokens, webhooks and their payloads, and transaction numbers outlive a restart', async () => {
  const first = await start();
  const { accessToken } = await grantToken(first.url);
  const specification = { options: { filters: { dataTypes: ['tableData'] } } };
  const webhook = await call<{ id: string }>(first, accessToken, 'POST', '/bases/appABC123/webhooks', {
    specification,
  });
  const created = await call<{ id: string }>(first, accessToken, 'POST', CONTACTS, {
    fields: { Name: 'Kept' },
  });

  const second = await restart();
  const read = await call<{ fields: unknown }>(second, accessToken, 'GET', `${CONTACTS}/${created.id}`);
  expect(read.fields).toMatchObject({ Name: 'Kept' });
  const payloadsPath = `/bases/appABC123/webhooks/${webhook.id}/payloads`;
  interface Payloads {
    cursor: number;
    payloads: { baseTransactionNumber: number }[];
  }
  const before = await call<Payloads>(second, accessToken, 'GET', payloadsPath);
  expect(before).toMatchObject({
    cursor: 2,
    payloads: [{ changedTablesById: { tblDEF456: { createdRecordsById: {} } } }],
  });
  await call(second, accessToken, 'PATCH', `${CONTACTS}/${created.id}`, { fields: { Name: 'Changed' } });
  const after = await call<Payloads>(second, accessToken, 'GET', payloadsPath);
  const numbers = after.payloads.map(({ baseTransactionNumber }) => baseTransactionNumber);
  expect(numbers).toEqual([numbers[0], (numbers[0] ?? 0) + 1]);
});

test('the first data is planted once: a deleted record stays deleted', async () => {
  const first = await start();
  const { accessToken } = await grantToken(first.url);
  const { records } = await call<{ records: { id: string }[] }>(
    first,
    accessToken,
    'GET',
    `${CONTACTS}?maxRecords=1`,
  );
  await call(first, accessToken, 'DELETE', `${CONTACTS}/${records[0]?.id}`);
  const second = await restart();
  await expect(call(second, accessToken, 'GET', `${CONTACTS}/${records[0]?.id}`)).rejects.toThrow('404');
  expect(second.context.records.of('tblDEF456').size).toBe(first.context.records.of('tblDEF456').size);
});

test('a listing does not: its offset is LIST_RECORDS_ITERATOR_NOT_AVAILABLE', async () => {
  const first = await start();
  const { accessToken } = await grantToken(first.url);
  const { offset } = await call<{ offset: string }>(first, accessToken, 'GET', CONTACTS);
  const second = await restart();
  const listing = call(second, accessToken, 'GET', `${CONTACTS}?offset=${encodeURIComponent(offset)}`);
  await expect(listing).rejects.toThrow('422 {"error":{"type":"LIST_RECORDS_ITERATOR_NOT_AVAILABLE"}}');
});

test('reset puts the first data back', async () => {
  const sandbox = await start();
  const { accessToken } = await grantToken(sandbox.url);
  const before = sandbox.context.records.of('tblDEF456').size;
  await call(sandbox, accessToken, 'POST', CONTACTS, { fields: { Name: 'Gone soon' } });
  sandbox.context.reset();
  expect(sandbox.context.records.of('tblDEF456').size).toBe(before);
  expect(sandbox.context.ledger.changes()).toEqual([]);
  const second = await restart();
  expect(second.context.records.of('tblDEF456').size).toBe(before);
});
