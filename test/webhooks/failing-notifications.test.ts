import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startTestApp, type TestApp } from '../support/app.ts';
import { Subscriber, until } from '../changes/subscriber.ts';
import { addContacts, crm, ledger, ledgerEnd, told } from '../changes/upstream-edits.ts';
import { ask, changeWebhooks, checkSoon } from './operations.ts';

interface Health {
  healthReasons: string[];
  lastPingAt: string | null;
  lastPayloadAt: string | null;
  lagMs: number;
  lastNotificationResult: object | null;
}

let app: TestApp;
let unreachable: TestApp;

beforeAll(async () => {
  app = await startTestApp();
  // Nobody listens there.
  unreachable = await app.another({ publicUrl: 'http://127.0.0.1:9' });
});
afterAll(async () => {
  await unreachable.close();
  await app.close();
});

it('pulls what notifications that keep failing do not tell of, and says so', async () => {
  const connection = await app.connect();
  const subscriber = await new Subscriber(unreachable, { connection, baseId: crm.baseId }).started();
  const start = await ledgerEnd(app);
  const startedAt = Date.now();
  const health = async () =>
    (
      await ask<{
        connection: { webhooks: Health[] };
      }>(
        app,
        `query ($connection: Int!) { connection(id: $connection) { ... on CalendlyConnection {
           webhooks { healthReasons lastPingAt lastPayloadAt lagMs
             lastNotificationResult { success message retryNumber willBeRetried completedAt } } } } }`,
        { connection },
      )
    ).connection.webhooks;
  for (let round = 1; round <= 2; round += 1) {
    await addContacts(app, 1);
    // The time of the next pull has come.
    await changeWebhooks(app, `last_drained_at = last_drained_at - interval '21 s'`);
    await until(() => subscriber.changes.length === round);
  }
  expect(told(subscriber.changes)).toEqual(await ledger(app, start));
  await checkSoon(app);
  await until(async () => (await health())[0]?.healthReasons.includes('NOTIFICATIONS_FAILING') === true);
  const [shown] = await health();
  expect(shown).toMatchObject({
    lastPingAt: null,
    lagMs: 0,
    lastNotificationResult: {
      success: false,
      message: expect.stringMatching(/./),
      retryNumber: 0,
      willBeRetried: true,
      completedAt: expect.any(String),
    },
  });
  expect(Date.parse(shown?.lastPayloadAt ?? '')).toBeGreaterThan(startedAt);
  expect(Date.parse(shown?.lastPayloadAt ?? '')).toBeLessThanOrEqual(Date.now());
  // What it was told of two seconds ago still waits there.
  await changeWebhooks(
    app,
    `behind_since = clock_timestamp() - interval '2 s', drain_not_before = 'infinity'`,
  );
  expect((await health())[0]?.lagMs).toBeGreaterThanOrEqual(2_000);
  await subscriber.cut();
});
