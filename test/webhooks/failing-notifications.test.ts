import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startTestApp, type TestApp } from '../support/app.ts';
import { Subscriber, until } from '../changes/subscriber.ts';
import { addContacts, crm, ledger, ledgerEnd, told } from '../changes/upstream-edits.ts';
import { ask, changeWebhooks, checkSoon } from './operations.ts';

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
  const health = async () =>
    (
      await ask<{
        connection: { webhooks: { healthReasons: string[]; lastNotificationResult: object | null }[] };
      }>(
        app,
        `query ($connection: Int!) { connection(id: $connection) { ... on CalendlyConnection {
           webhooks { healthReasons lastPingAt lastNotificationResult { success } } } } }`,
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
  expect(await health()).toMatchObject([{ lastPingAt: null, lastNotificationResult: { success: false } }]);
  await subscriber.cut();
});
