import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { maxAnswerBytes } from '../../src/calendly/request.ts';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { addContacts, countCalls, dropPings, ledger, ledgerEnd } from '../changes/upstream-edits.ts';
import { until } from '../changes/subscriber.ts';
import { createWebhook } from './operations.ts';

let app: TestApp;
let webhookId: string;

beforeAll(async () => {
  app = await startTestApp({ lookEveryMs: 100 });
  const connection = await app.connect();
  webhookId = await createWebhook(app, connection);
});
afterAll(() => app.close());
beforeEach(async () => {
  await dropPings(app, true);
  await idle();
});

/** Nothing is being drained, and nothing is wanted. */
async function idle(): Promise<void> {
  await until(
    async () =>
      (
        await app.database.query(
          'SELECT 1 FROM webhooks WHERE id = $1 AND drain_holder IS NULL AND drain_wanted_at IS NULL',
          [webhookId],
        )
      ).length === 1,
  );
}

async function wantDrain(): Promise<void> {
  await app.database.query('UPDATE webhooks SET drain_wanted_at = clock_timestamp() WHERE id = $1', [
    webhookId,
  ]);
}

async function logged(): Promise<string[]> {
  const rows = await app.database.query(
    'SELECT kind, record_id FROM changes ORDER BY feed_id, generation, payload, ordinal',
  );
  return rows.map(({ kind, record_id }) => `${String(kind)} ${String(record_id)}`);
}

it('pulls 50 payloads with each call and logs each change once, in order', async () => {
  for (const [count, expected] of [
    [0, 1],
    [1, 1],
    [50, 1],
    [51, 2],
    [120, 3],
  ] as const) {
    const start = await ledgerEnd(app);
    const before = (await logged()).length;
    await addContacts(app, count);
    const calls = await countCalls(app, 'listWebhookPayloads');
    await wantDrain();
    await until(async () => (await countCalls(app, 'listWebhookPayloads')) > calls);
    await idle();
    expect((await logged()).slice(before)).toEqual(await ledger(app, start));
    expect([count, (await countCalls(app, 'listWebhookPayloads')) - calls]).toEqual([count, expected]);
  }
});

it('writes nothing when another instance took the drain over while a page was on its way', async () => {
  const before = (await logged()).length;
  const [recordId] = await addContacts(app, 1);
  await control(app.sandbox.url, 'faults', {
    match: { method: 'GET', path: '/v0/bases/*/webhooks/*/payloads' },
    times: 1,
    kind: 'delay',
    effect: 'after',
    delayMs: 1_500,
  });
  const calls = await countCalls(app, 'listWebhookPayloads');
  await wantDrain();
  await until(async () => (await countCalls(app, 'listWebhookPayloads')) > calls);
  const thief = randomUUID();
  await app.database.query(
    `UPDATE webhooks SET drain_holder = $2, drain_lease_until = clock_timestamp() + interval '4 s' WHERE id = $1`,
    [webhookId, thief],
  );
  // Longer than the page is delayed: it comes back while somebody else holds the lease.
  await until(async () => {
    const [row] = await app.database.query(
      'SELECT drain_holder = $2 AS held, (SELECT count(*)::int FROM changes) AS logged FROM webhooks WHERE id = $1',
      [webhookId, thief],
    );
    if (row?.held) expect(row.logged).toBe(before);
    return row?.held !== true;
  });
  // The other holder is taken for dead, and the drain is done again from where the log ends.
  await until(async () => (await logged()).length > before);
  await idle();
  expect((await logged()).slice(before)).toEqual([`created ${recordId}`]);
});

it('is taken over as soon as its lease has ended, also after failures, when a ping has begun it', async () => {
  const before = (await logged()).length;
  await app.database.query(`UPDATE webhooks SET drain_failures = 5, drain_not_before = 'infinity'`);
  await control(app.sandbox.url, 'faults', {
    match: { method: 'GET', path: '/v0/bases/*/webhooks/*/payloads' },
    kind: 'delay',
    effect: 'after',
    delayMs: 1_000,
  });
  const calls = await countCalls(app, 'listWebhookPayloads');
  await dropPings(app, false);
  const [recordId] = await addContacts(app, 1);
  await until(async () => (await countCalls(app, 'listWebhookPayloads')) > calls);
  // Its process has died with the page on the way.
  await app.database.query(
    'UPDATE webhooks SET drain_holder = gen_random_uuid(), drain_lease_until = clock_timestamp()',
  );
  await until(async () => (await logged()).length > before);
  expect((await logged()).slice(before)).toEqual([`created ${recordId}`]);
});

it('reads a page again after a crash without logging anything twice or elsewhere', async () => {
  await addContacts(app, 3);
  await wantDrain();
  await idle();
  const positions = () =>
    app.database.query('SELECT generation, payload, ordinal, record_id FROM changes ORDER BY 1, 2, 3');
  const before = await positions();
  await app.database.query(
    'UPDATE webhooks SET next_payload = next_payload - 2, drain_holder = gen_random_uuid(), drain_lease_until = clock_timestamp() WHERE id = $1',
    [webhookId],
  );
  await idle();
  const [row] = await app.database.query('SELECT next_payload FROM webhooks WHERE id = $1', [webhookId]);
  expect(await positions()).toEqual(before);
  expect(row?.next_payload).toBe(Number(before.at(-1)?.payload) + 1);
});

it('goes on after failures of the upstream, and says meanwhile what is wrong', async () => {
  const before = (await logged()).length;
  await addContacts(app, 1);
  await control(app.sandbox.url, 'faults', {
    match: { method: 'GET', path: '/v0/bases/*/webhooks/*/payloads' },
    times: 1,
    kind: 'malformed',
    effect: 'before',
  });
  await wantDrain();
  await until(
    async () =>
      (await app.database.query('SELECT 1 FROM webhooks WHERE id = $1 AND problem IS NOT NULL', [webhookId]))
        .length === 1,
  );
  await until(async () => (await logged()).length === before + 1);
  await idle();
  const [row] = await app.database.query('SELECT problem, drain_failures FROM webhooks WHERE id = $1', [
    webhookId,
  ]);
  expect(row).toEqual({ problem: null, drain_failures: 0 });
});

it('passes a payload that is too large to be read, says so, and logs what lies around it', async () => {
  const before = (await logged()).length;
  const [first, , third, fourth] = await addContacts(app, 4);
  // 50, 25, 12, 6 and 3 are too large; one is not; the next one is. The control API takes no body of that size.
  const { faults } = app.sandbox.context;
  const match = { method: 'GET', path: '/v0/bases/*/webhooks/*/payloads' };
  const tooLarge = { match, kind: 'status', status: 200, body: 'x'.repeat(maxAnswerBytes + 1) };
  faults.add({ ...tooLarge, times: 5 });
  faults.add({ ...tooLarge, after: 1, times: 1 });
  const calls = await countCalls(app, 'listWebhookPayloads');
  await wantDrain();
  await until(async () => (await logged()).includes(`created ${fourth}`));
  await idle();
  faults.clear();
  expect((await logged()).slice(before)).toEqual([
    `created ${first}`,
    'lost null',
    `created ${third}`,
    `created ${fourth}`,
  ]);
  const [lost] = await app.database.query(`SELECT detail FROM changes WHERE kind = 'lost'`);
  expect(lost?.detail).toMatchObject({ reason: 'payload_too_large', since: expect.any(String) });
  // Those seven, and one for the two that are left.
  expect((await countCalls(app, 'listWebhookPayloads')) - calls).toBe(8);
  expect(
    await app.database.query('SELECT problem, drain_failures FROM webhooks WHERE id = $1', [webhookId]),
  ).toEqual([{ problem: null, drain_failures: 0 }]);
});

it('announces payloads that the upstream no longer has, between what came before and what comes after', async () => {
  await addContacts(app, 2);
  await control(app.sandbox.url, 'clock', { advanceMs: 6 * 86_400_000 });
  await control(app.sandbox.url, 'limits', { payloadRetentionMs: 86_400_000 });
  const [recordId] = await addContacts(app, 1);
  await wantDrain();
  await until(async () => (await logged()).includes(`created ${recordId}`));
  expect((await logged()).slice(-2)).toEqual(['lost null', `created ${recordId}`]);
  const [lost] = await app.database.query(
    `SELECT detail FROM changes WHERE kind = 'lost' ORDER BY payload DESC`,
  );
  expect(lost?.detail).toMatchObject({ reason: 'payloads_missing' });
});

it('keeps what it does not understand, and goes on with what it does', async () => {
  const [before] = await app.database.query('SELECT next_payload FROM webhooks WHERE id = $1', [webhookId]);
  const next = Number(before?.next_payload);
  const news = { baseTransactionNumber: 1_000_000, tomorrow: { all: ['new'] } };
  await control(app.sandbox.url, 'faults', {
    match: { method: 'GET', path: '/v0/bases/*/webhooks/*/payloads' },
    times: 1,
    kind: 'status',
    status: 200,
    body: JSON.stringify({ cursor: next + 1, mightHaveMore: false, payloads: [news] }),
    contentType: 'application/json',
  });
  await wantDrain();
  await until(async () => (await app.database.query('SELECT 1 FROM unread_payloads')).length === 1);
  await idle();
  expect(await app.database.query('SELECT payload, content FROM unread_payloads')).toEqual([
    { payload: next, content: { tomorrow: { all: ['new'] } } },
  ]);
});
