import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { call } from '../support/sandbox-call.ts';
import { grantToken } from '../support/sandbox-grant.ts';
import { Subscriber, until } from '../changes/subscriber.ts';
import { addContacts, countCalls, crm, dropPings } from '../changes/upstream-edits.ts';
import { changeWebhooks, checkSoon, heldUpstream } from './operations.ts';

const dayMs = 86_400_000;

let app: TestApp;
let subscriber: Subscriber;

beforeEach(async () => {
  app = await startTestApp({ lookEveryMs: 100 });
  const connection = await app.connect();
  subscriber = await new Subscriber(app, { connection, baseId: crm.baseId }).started();
});
afterEach(async () => {
  await subscriber.cut();
  await app.close();
});

const checked = () =>
  until(
    async () => (await app.database.query('SELECT 1 FROM webhooks WHERE checked_at IS NOT NULL')).length > 0,
  );

it('does not delete an expired webhook before its last payloads are in the log', async () => {
  await control(app.sandbox.url, 'limits', { payloadRetentionMs: 60 * dayMs, webhookReadableMs: 60 * dayMs });
  await dropPings(app, true);
  // Another instance drains, and may yet fail.
  await until(
    async () =>
      (
        await app.database.query(
          `UPDATE webhooks SET drain_holder = $1, drain_lease_until = clock_timestamp() + interval '1 min'
           WHERE drain_holder IS NULL AND drain_wanted_at IS NULL RETURNING id`,
          [randomUUID()],
        )
      ).flat(1).length > 0,
  );
  const [recordId] = await addContacts(app, 1);
  const [dead] = await heldUpstream(app);
  await control(app.sandbox.url, 'clock', { advanceMs: 8 * dayMs });
  const calls = await countCalls(app, 'listWebhooks');
  await checkSoon(app);
  await until(async () => (await countCalls(app, 'listWebhooks')) > calls);
  await checkSoon(app);
  await until(async () => (await countCalls(app, 'listWebhooks')) > calls + 1);
  expect(await heldUpstream(app)).toMatchObject([{ id: dead?.id }]);
  expect(subscriber.changes).toEqual([]);

  await app.database.query('UPDATE webhooks SET drain_holder = NULL, drain_lease_until = NULL');
  await checkSoon(app);
  await until(() => subscriber.losses.length === 1);
  expect(subscriber.changes.map((change) => change.recordId)).toEqual([recordId]);
  expect(await heldUpstream(app)).toMatchObject([{ id: expect.not.stringMatching(`^${dead?.id}$`) }]);
});

it('switches notifications on again, and nothing is lost meanwhile', async () => {
  const [held] = await heldUpstream(app);
  const { accessToken: token } = await grantToken(app.sandbox.url);
  const off = await call(
    app.sandbox.url,
    'POST',
    `/v0/bases/${crm.baseId}/webhooks/${held?.id}/enableNotifications`,
    { token, json: { enable: false } },
  );
  expect(off.status).toBeLessThan(300);
  const [recordId] = await addContacts(app, 1);
  expect(await heldUpstream(app)).toMatchObject([{ areNotificationsEnabled: false }]);
  await checkSoon(app);
  await until(() => subscriber.changes.length === 1);
  expect(subscriber.changes[0]?.recordId).toBe(recordId);
  await until(async () => (await heldUpstream(app))[0]?.areNotificationsEnabled === true);
  expect(await heldUpstream(app)).toMatchObject([{ id: held?.id }]);
});

it('keeps a webhook alive far beyond its seven days by extending it after half of them', async () => {
  await dropPings(app, true);
  const [held] = await heldUpstream(app);
  for (let round = 1; round <= 3; round += 1) {
    await control(app.sandbox.url, 'clock', { advanceMs: 4 * dayMs });
    // Pulling extends it as well; for as long as this lasts, nobody pulls.
    await app.database.query(
      `UPDATE webhooks SET refreshed_at = refreshed_at - interval '4 days', last_drained_at = clock_timestamp()`,
    );
    const refreshed = await countCalls(app, 'refreshWebhook');
    await checkSoon(app);
    await until(async () => (await countCalls(app, 'refreshWebhook')) > refreshed);
    await checked();
  }
  const [kept] = await heldUpstream(app);
  expect(kept?.id).toBe(held?.id);
  const { now } = await control<{ now: string }>(app.sandbox.url, 'clock');
  expect(Date.parse(kept?.expirationTime ?? '')).toBeGreaterThan(Date.parse(now) + 6.9 * dayMs);
  const calls = await countCalls(app, 'refreshWebhook');
  await checkSoon(app);
  await checked();
  expect(await countCalls(app, 'refreshWebhook')).toBe(calls);
});

it('extends a webhook whose instance died on the way to it, before or after the upstream had done so', async () => {
  await dropPings(app, true);
  const expiry = async () => Date.parse((await heldUpstream(app))[0]?.expirationTime ?? '');
  for (const hasSent of [false, true]) {
    await control(app.sandbox.url, 'clock', { advanceMs: 4 * dayMs });
    const refreshed = await countCalls(app, 'refreshWebhook');
    // What it leaves: a lease on the check, and no word of what it did.
    await changeWebhooks(
      app,
      `refreshed_at = refreshed_at - interval '4 days', last_drained_at = clock_timestamp(), checked_at = NULL,
       check_lease_until = clock_timestamp() + interval '1 min'`,
    );
    if (hasSent) {
      const { accessToken: token } = await grantToken(app.sandbox.url);
      const [held] = await heldUpstream(app);
      const path = `/v0/bases/${crm.baseId}/webhooks/${held?.id}/refresh`;
      expect((await call(app.sandbox.url, 'POST', path, { token, json: {} })).status).toBe(200);
    }
    const before = await expiry();
    // Whoever lives does other work meanwhile.
    const [recordId] = await addContacts(app, 1);
    await changeWebhooks(app, 'drain_wanted_at = clock_timestamp()');
    await until(() => subscriber.changes.some((change) => change.recordId === recordId));
    expect((await countCalls(app, 'refreshWebhook')) - refreshed).toBe(hasSent ? 1 : 0);
    await changeWebhooks(app, `check_lease_until = clock_timestamp() - interval '1 s'`);
    await checked();
    expect((await countCalls(app, 'refreshWebhook')) - refreshed).toBe(hasSent ? 2 : 1);
    expect(await expiry()).toBeGreaterThanOrEqual(before);
  }
});
