import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { checkSoon } from '../webhooks/operations.ts';
import { Subscriber, until } from './subscriber.ts';
import { addContacts, crm, dropPings, ledger, ledgerEnd, told } from './upstream-edits.ts';

const dayMs = 86_400_000;

let app: TestApp;
let connection: number;
beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterAll(() => app.close());

const subscribe = () => new Subscriber(app, { connection, baseId: crm.baseId }).started();
const upstreamNow = async (): Promise<number> =>
  Date.parse((await control<{ now: string }>(app.sandbox.url, 'clock')).now);

/** Two changes that nobody pulls before the upstream drops them. @returns when they happened, by its clock. */
async function loseTwo(): Promise<number> {
  await dropPings(app, true);
  const at = await upstreamNow();
  await addContacts(app, 2);
  await control(app.sandbox.url, 'limits', { payloadRetentionMs: dayMs });
  await control(app.sandbox.url, 'clock', { advanceMs: 2 * dayMs });
  return at;
}

it('bounds what is missing by the last change that was heard, though drains since then have found nothing', async () => {
  const subscriber = await subscribe();
  const lostAt = await loseTwo();
  await app.database.query('UPDATE webhooks SET drain_wanted_at = clock_timestamp(), last_drained_at = NULL');
  await until(
    async () =>
      (await app.database.query('SELECT 1 FROM webhooks WHERE last_drained_at IS NOT NULL')).length > 0,
  );
  await dropPings(app, false);
  await addContacts(app, 1);
  await until(() => subscriber.changes.length === 1);
  expect(subscriber.losses).toEqual([expect.objectContaining({ reason: 'PAYLOADS_MISSING' })]);
  expect(Date.parse(subscriber.losses[0]?.since ?? '')).toBeLessThanOrEqual(lostAt);
  expect(Date.parse(subscriber.losses[0]?.until ?? '')).toBeGreaterThanOrEqual(lostAt);
  await subscriber.cut();
});

it('announces payloads that are gone though nothing has come after them, and from when on they may be missing', async () => {
  const subscriber = await subscribe();
  await addContacts(app, 1);
  await until(() => subscriber.changes.length === 1);
  const lostAt = await loseTwo();
  await until(async () => {
    await checkSoon(app);
    return subscriber.losses.length > 0;
  });
  expect(subscriber.losses).toEqual([expect.objectContaining({ reason: 'PAYLOADS_MISSING' })]);
  expect(Date.parse(subscriber.losses[0]?.since ?? '')).toBeLessThanOrEqual(lostAt);
  await dropPings(app, false);
  const end = await ledgerEnd(app);
  await addContacts(app, 1);
  await until(() => subscriber.changes.length === 2);
  expect(told(subscriber.changes).slice(1)).toEqual(await ledger(app, end));
  expect(subscriber.losses).toHaveLength(1);
  await subscriber.cut();
});

it('replaces a webhook that has expired with payloads that nobody can read any more', async () => {
  const subscriber = await subscribe();
  const lostAt = await loseTwo();
  await control(app.sandbox.url, 'clock', { advanceMs: 6 * dayMs });
  await until(async () => {
    await app.database.query(
      `UPDATE webhooks SET checked_at = NULL, check_lease_until = NULL
       WHERE id = (SELECT id FROM webhooks WHERE state = 'active' LIMIT 1)`,
    );
    return subscriber.losses.some(({ reason }) => reason === 'WEBHOOK_GONE');
  });
  expect(subscriber.losses.map(({ reason }) => reason)).toEqual(['PAYLOADS_MISSING', 'WEBHOOK_GONE']);
  expect(Date.parse(subscriber.losses[0]?.since ?? '')).toBeLessThanOrEqual(lostAt);
  await dropPings(app, false);
  const end = await ledgerEnd(app);
  await addContacts(app, 1);
  await until(() => subscriber.changes.length === 1);
  expect(told(subscriber.changes)).toEqual(await ledger(app, end));
  await subscriber.cut();
});
