import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { authorizationUrl, control, startTestApp, type TestApp } from '../support/app.ts';

const kept = { id: 'kept', key: randomBytes(32) };
const dropped = { id: 'dropped', key: randomBytes(32) };

let first: TestApp;
beforeAll(async () => {
  first = await startTestApp({ config: { encryptionKeys: [dropped, kept] } });
});
afterAll(() => first.close());

const list = '{ connections { id state problem { code } } }';
const read = (app: TestApp, id: number) =>
  app.graphql(
    'query ($id: Int!) { base(connection: $id, baseId: "appABC123") { name table(id: "tblDEF456") { records(first: 1) { nodes { id } } } } }',
    { id },
  );

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

test('with the key back, a start connects again what was connected until then, and nothing else', async () => {
  const [lost, refused] = [
    await first.connect({ name: 'Lost again' }),
    await first.connect({ name: 'Refused' }),
  ];
  await first.database.query(`UPDATE connections SET access_token_expires_at = now() WHERE id = $1`, [
    refused,
  ]);
  await control(first.sandbox.url, 'faults', {
    match: { method: 'POST', path: '/oauth2/v1/token' },
    kind: 'status',
    status: 400,
    body: { error: 'invalid_grant' },
    times: 1,
  });
  await read(first, refused);
  const later = await first.another({ encryptionKeys: [kept] });
  await read(later, lost);
  expect((await fetch(await authorizationUrl(later.graphql, refused))).status).toBe(500);
  await later.close();
  const states = async () =>
    Object.fromEntries(
      (await first.graphql(list)).data.connections.map(
        ({ id, state, problem }: { id: number; state: string; problem: { code: string } | null }) => [
          id,
          problem?.code ?? state,
        ],
      ),
    );
  expect(await states()).toMatchObject({ [lost]: 'SECRET_UNREADABLE', [refused]: 'SECRET_UNREADABLE' });

  const still = await first.another({ encryptionKeys: [kept] });
  await still.close();
  expect(await states()).toMatchObject({ [lost]: 'SECRET_UNREADABLE' });
  const again = await first.another();
  expect(await states()).toMatchObject({ [lost]: 'CONNECTED', [refused]: 'SECRET_UNREADABLE' });
  expect((await read(again, lost)).data.base.table.records.nodes).toHaveLength(1);
  await again.close();
  expect(
    await first.database.query(
      `SELECT action, outcome FROM audit_entries WHERE connection_id = $1 AND actor_id = 'server' ORDER BY id`,
      [lost],
    ),
  ).toEqual([
    { action: 'refreshTokens', outcome: 'SECRET_UNREADABLE' },
    { action: 'restoreConnection', outcome: 'ok' },
  ]);
});

test('a link that leads nowhere because the client secret cannot be read is told in the audit log', async () => {
  const id = await first.connect({ name: 'Opened' });
  await first.database.query(
    `UPDATE connection_secrets SET client_secret = 'v1.gone.AAAA.AAAA' WHERE connection_id = $1`,
    [id],
  );
  await fetch(await authorizationUrl(first.graphql, id));
  const [last] = await first.database.query(
    `SELECT action, outcome FROM audit_entries WHERE connection_id = $1 ORDER BY id DESC LIMIT 1`,
    [id],
  );
  expect(last).toEqual({ action: 'openAuthorization', outcome: 'SECRET_UNREADABLE' });
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
