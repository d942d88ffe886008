import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { startTestApp, type TestApp } from '../support/app.ts';

const kept = { id: 'kept', key: randomBytes(32) };
const dropped = { id: 'dropped', key: randomBytes(32) };

let first: TestApp;
beforeAll(async () => {
  first = await startTestApp({ config: { encryptionKeys: [dropped, kept] } });
});
afterAll(() => first.close());

const list = '{ connections { id state problem { code } } }';
const read = (app: TestApp, id: number) =>
  app.graphql('query ($id: Int!) { base(connection: $id, baseId: "appABC123") { name } }', { id });

test('with a key dropped from the ring a server starts, lists all, and only what it sealed goes to ERROR when it is used', async () => {
  const lost = await first.connect({ name: 'Lost' });
  const idle = await first.connect({ name: 'Idle' });
  const later = await first.another({ encryptionKeys: [kept] });
  const fine = await later.connect({ name: 'Fine' });
  const state = (id: number, name: string, code?: string) => ({
    id,
    state: name,
    problem: code ? { code } : null,
  });
  expect((await later.graphql(list)).data.connections).toEqual(
    [lost, idle, fine].map((id) => state(id, 'CONNECTED')),
  );
  expect((await read(later, lost)).errors?.[0]?.message).toContain('SECRET_UNREADABLE');
  expect((await read(later, fine)).data.base.name).toEqual(expect.any(String));
  expect((await later.graphql(list)).data.connections).toEqual([
    state(lost, 'ERROR', 'SECRET_UNREADABLE'),
    state(idle, 'CONNECTED'),
    state(fine, 'CONNECTED'),
  ]);
  await later.close();
});

test('a webhook whose secret cannot be read refuses its pings by name, and its neighbours go on', async () => {
  const id = await first.connect({ name: 'Hooked' });
  await first.graphql(
    `mutation ($id: Int!) { createWebhook(input: { connection: $id, baseId: "appABC123" }) { ... on Error { message } } }`,
    { id },
  );
  const [hook] = await first.database.query(`SELECT id FROM webhooks WHERE state = 'active'`);
  expect(hook).toBeDefined();
  const ping = () =>
    fetch(`${first.url}/webhooks/calendly/${String(hook?.['id'])}`, { method: 'POST', body: '{}' });
  expect((await ping()).status).toBe(401);
  await first.database.query(
    `UPDATE webhooks SET mac_secret_envelope = (SELECT client_secret FROM connection_secrets WHERE connection_id = $2) WHERE id = $1`,
    [hook?.['id'], id],
  );
  expect((await ping()).status).toBe(500);
  expect(first.logs.text).toMatch(
    new RegExp(`webhooks.mac_secret_envelope, row ${String(hook?.['id'])}.*a ping could not be checked`),
  );
  expect((await read(first, id)).data.base.name).toEqual(expect.any(String));
});
