import { createHmac, randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { addContacts, countCalls, crm, dropPings } from '../changes/upstream-edits.ts';
import { until } from '../changes/subscriber.ts';
import { createWebhook, otherBase } from './operations.ts';

let app: TestApp;
let connection: number;

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterAll(() => app.close());
afterEach(() => dropPings(app, false));

/** The secrets that the sandbox gave out, newest last. */
async function macSecrets(): Promise<Buffer[]> {
  const { issued } = await control<{ issued: { kind: string; value: string }[] }>(app.sandbox.url, 'issued');
  return issued.filter(({ kind }) => /mac/i.test(kind)).map(({ value }) => Buffer.from(value, 'base64'));
}

function ping(id: string, body: string, mac?: string): Promise<Response> {
  return fetch(`${app.url}/webhooks/calendly/${id}`, {
    method: 'POST',
    body,
    headers: mac === undefined ? {} : { 'x-airtable-content-mac': mac },
  });
}

const body = JSON.stringify({
  base: { id: crm.baseId },
  webhook: { id: 'ach00000000000001' },
  timestamp: '2026-01-02T03:04:05.000Z',
});
const macOf = (secret: Buffer, text = body): string =>
  `hmac-sha256=${createHmac('sha256', secret).update(text).digest('hex')}`;

it('answers a ping of an unknown webhook with 404', async () => {
  expect((await ping(randomUUID(), body, macOf(Buffer.from('x')))).status).toBe(404);
  expect((await ping('..%2f..%2fetc', body)).status).toBe(404);
});

it('refuses forged pings and does nothing for them', async () => {
  const id = await createWebhook(app, connection);
  const [secret = Buffer.alloc(0)] = (await macSecrets()).slice(-1);
  await until(
    async () =>
      (
        await app.database.query(
          'SELECT 1 FROM webhooks WHERE id = $1 AND drain_wanted_at IS NULL AND drain_holder IS NULL',
          [id],
        )
      ).length === 1,
  );
  await dropPings(app, true);
  const calls = await countCalls(app, 'listWebhookPayloads');
  const genuine = macOf(secret);
  const forged = [
    undefined,
    '',
    'hmac-sha256=',
    macOf(Buffer.from('guess')),
    macOf(secret, `${body} `),
    genuine.toUpperCase(),
    genuine.slice(12),
    `${genuine}0`,
  ];
  for (const mac of forged) expect((await ping(id, body, mac)).status).toBe(401);
  const [row] = await app.database.query('SELECT drain_wanted_at, last_ping_at FROM webhooks WHERE id = $1', [
    id,
  ]);
  expect(row?.drain_wanted_at).toBeNull();
  expect(await countCalls(app, 'listWebhookPayloads')).toBe(calls);
  const taken = await ping(id, body, genuine);
  expect([taken.status, await taken.text()]).toEqual([204, '']);
  await until(async () => (await countCalls(app, 'listWebhookPayloads')) > calls);
});

it('does not read a body that is too large', async () => {
  const id = await createWebhook(app, connection);
  expect((await ping(id, 'x'.repeat(20_000), 'hmac-sha256=00')).status).toBe(413);
});

it('takes pings by POST alone', async () => {
  const id = await createWebhook(app, connection);
  for (const method of ['GET', 'PUT', 'DELETE'])
    expect((await fetch(`${app.url}/webhooks/calendly/${id}`, { method })).status).toBe(404);
});

it('answers 503 to a ping that comes before the secret is stored, so that it is sent again', async () => {
  const other = await otherBase(app, connection);
  await control(app.sandbox.url, 'faults', {
    match: { method: 'POST', path: '/v0/bases/*/webhooks' },
    times: 1,
    kind: 'delay',
    effect: 'after',
    delayMs: 60_000,
  });
  const created = createWebhook(app, connection, other);
  let creating: string | undefined;
  await until(async () => {
    const [row] = await app.database.query(`SELECT id FROM webhooks WHERE state = 'creating'`);
    creating = row?.id as string | undefined;
    return creating !== undefined;
  });
  expect((await ping(creating ?? '', body, macOf(Buffer.from('x')))).status).toBe(503);
  app.sandbox.context.faults.clear();
  expect(await created).toBe(creating);
  expect((await ping(creating ?? '', body, macOf(Buffer.from('x')))).status).toBe(401);
});

it('logs a change once, however many pings come for it', async () => {
  const id = await createWebhook(app, connection);
  await control(app.sandbox.url, 'pings', { drop: false, repeat: 9, delayMs: [0, 200] });
  const [recordId = ''] = await addContacts(app, 1);
  const logged = () => app.database.query(`SELECT 1 FROM changes WHERE record_id = $1`, [recordId]);
  await until(async () => (await logged()).length > 0);
  await control(app.sandbox.url, 'pings', { drop: false, repeat: 0, delayMs: 0 });
  const secrets = await macSecrets();
  const answers = await Promise.all(
    secrets.flatMap((secret) => Array.from({ length: 10 }, () => ping(id, body, macOf(secret)))),
  );
  expect(answers.filter(({ status }) => status === 204)).toHaveLength(10);
  await until(
    async () =>
      (
        await app.database.query(
          'SELECT 1 FROM webhooks WHERE id = $1 AND drain_wanted_at IS NULL AND drain_holder IS NULL',
          [id],
        )
      ).length === 1,
  );
  expect(await logged()).toHaveLength(1);
});
