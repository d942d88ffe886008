import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { call } from '../support/sandbox-call.ts';
import { grantToken } from '../support/sandbox-grant.ts';
import { Subscriber, until } from '../changes/subscriber.ts';
import {
  addContacts,
  countCalls,
  crm,
  dropPings,
  ledger,
  ledgerEnd,
  told,
} from '../changes/upstream-edits.ts';
import { isLongRun, repeats } from '../support/repeats.ts';
import { ask, changeWebhooks, checkSoon, createWebhook, deleteUpstream, heldUpstream } from './operations.ts';

let app: TestApp;
let connection: number;

beforeAll(async () => {
  app = await startTestApp({ lookEveryMs: 100 });
  connection = await app.connect();
});
afterAll(() => app.close());
afterEach(() => app.sandbox.context.faults.clear());

const follow = (after?: string) => new Subscriber(app, { connection, baseId: crm.baseId, after });

/** As if the encryption keys had changed, for the first time since long ago. */
const loseSecret = () =>
  changeWebhooks(
    app,
    'mac_secret_envelope = NULL, quick_replacements = 0, checked_at = NULL, check_lease_until = NULL',
    `state = 'active'`,
  );

/** Holds the next such call, or its answer, until all faults are cleared. */
async function hold(method: string, path: string, effect: 'before' | 'after'): Promise<void> {
  const match = { method, path: `/v0/bases/*/webhooks${path}` };
  await control(app.sandbox.url, 'faults', { match, kind: 'delay', effect, delayMs: 60_000, times: 1 });
}

const isHolding = () => app.sandbox.context.faults.list().some(({ applied }) => applied > 0);

const successors = () => app.database.query(`SELECT 1 FROM webhooks WHERE state = 'ready'`);

const replaced = (id: string) =>
  until(async () => {
    const [only, ...others] = await heldUpstream(app);
    return only !== undefined && only.id !== id && others.length === 0;
  });

it('replaces a webhook whose secret is lost, and tells once what both have recorded', async () => {
  const start = await ledgerEnd(app);
  const subscriber = await follow().started();
  const [old] = await heldUpstream(app);
  const creations = await countCalls(app, 'createWebhook');
  await addContacts(app, 1);
  await hold('POST', '', 'after');
  await loseSecret();
  await until(isHolding);
  expect(await heldUpstream(app)).toHaveLength(2);
  await addContacts(app, 3);
  await changeWebhooks(app, 'drain_wanted_at = clock_timestamp()');
  await until(() => subscriber.changes.length === 4);
  await addContacts(app, 2);
  app.sandbox.context.faults.clear();
  await replaced(old?.id ?? '');
  await addContacts(app, 2);
  const truth = await ledger(app, start);
  await until(() => subscriber.changes.length >= truth.length);
  expect(told(subscriber.changes)).toEqual(truth);
  expect(subscriber.losses).toEqual([]);
  expect((await countCalls(app, 'createWebhook')) - creations).toBe(1);

  const late = await follow(subscriber.events[0]?.cursor).started();
  await until(() => late.changes.length >= truth.length);
  expect(late.changes).toEqual(subscriber.changes);
  await Promise.all([subscriber.cut(), late.cut()]);
});

const mishaps = [
  ['the answer is lost that would have told of the successor', 'POST', '', 'after', 'malformed'],
  ['the successor can not be created', 'POST', '', 'before', 'malformed'],
  ['an instance dies before it has heard of the successor', 'POST', '', 'after', 'dead'],
  ['the old one can not be drained for the last time', 'GET', '/*/payloads', 'before', 'malformed'],
  ['an instance dies in the last drain of the old one', 'GET', '/*/payloads', 'before', 'asleep'],
  ['an instance dies between its last drain and the successor in its place', 'GET', '', 'before', 'asleep'],
  ['an instance dies as it deletes the old one', 'DELETE', '/*', 'before', 'asleep'],
  ['an instance dies when the old one is deleted', 'DELETE', '/*', 'after', 'asleep'],
  ['the old one can not be deleted', 'DELETE', '/*', 'before', 'refused'],
  ['the old one is deleted and that is not known', 'DELETE', '/*', 'after', 'refused'],
] as const;

it.each([
  ['pulled to its end before', true],
  ['not pulled any more', false],
] as const)('goes on with the successor when the old one dies, %s', async (_, isPulled) => {
  const subscriber = await follow().started();
  const start = await ledgerEnd(app);
  const [old] = await heldUpstream(app);
  await hold('GET', '/*/payloads', 'before');
  await loseSecret();
  await until(async () => (await successors()).length === 1);
  if (isPulled)
    await changeWebhooks(
      app,
      'checked_at = clock_timestamp(), last_drained_at = clock_timestamp()',
      `state = 'active'`,
    );
  await addContacts(app, 2);
  await deleteUpstream(app, old?.id ?? '');
  app.sandbox.context.faults.clear();
  await until(async () => (await successors()).length === 0);
  await addContacts(app, 1);
  const truth = await ledger(app, start);
  await until(() => subscriber.changes.length >= truth.length);
  expect(told(subscriber.changes)).toEqual(truth);
  expect(subscriber.losses).toMatchObject(isPulled ? [] : [{ reason: 'WEBHOOK_GONE' }]);
  await subscriber.cut();
});

it.each(mishaps.slice(0, repeats({ suite: 1, long: mishaps.length })))(
  'comes to the same end when %s',
  async (_, method, path, effect, kind) => {
    const subscriber = await follow().started();
    const start = await ledgerEnd(app);
    const [old] = await heldUpstream(app);
    await changeWebhooks(app, `state = 'deleted'`, `state = 'failed'`);
    await dropPings(app, true);
    await addContacts(app, 1);
    await control(app.sandbox.url, 'faults', {
      match: { method, path: `/v0/bases/*/webhooks${path}` },
      effect,
      times: 1,
      ...(kind === 'refused'
        ? { kind: 'status', status: 403 }
        : kind === 'asleep'
          ? { kind: 'delay', delayMs: 60_000 }
          : { kind: 'malformed' }),
      // The first list is that of the check, the second that before the create call, the third that of the last step.
      ...(path === '' && method === 'GET' && { after: 2 }),
    });
    await loseSecret();
    await until(() => app.sandbox.context.faults.list().every(({ applied }) => applied > 0));
    await addContacts(app, 1);
    if (kind === 'asleep') {
      // Its leases run out, and what it wakes up to write is no longer its to write.
      await changeWebhooks(
        app,
        `drain_holder = CASE WHEN drain_holder IS NOT NULL THEN gen_random_uuid() END, drain_lease_until = clock_timestamp() - interval '1 s'`,
      );
      app.sandbox.context.faults.clear();
    }
    if (kind === 'dead') {
      await until(
        async () => (await app.database.query(`SELECT 1 FROM webhooks WHERE state = 'failed'`)).length > 0,
      );
      // Nobody tidied up, and the time is over in which it might have gone on.
      await app.database.query(
        `UPDATE webhooks SET state = 'preparing', created_at = created_at - interval '3 min' WHERE state = 'failed'`,
      );
    }
    while ((await heldUpstream(app)).length !== 1 || (await heldUpstream(app))[0]?.id === old?.id) {
      // Leases and pauses run out.
      await changeWebhooks(app, 'check_lease_until = NULL, drain_not_before = NULL');
      await delay(100);
    }
    await addContacts(app, 1);
    await changeWebhooks(app, 'drain_wanted_at = clock_timestamp()');
    const truth = await ledger(app, start);
    await until(() => subscriber.changes.length >= truth.length);
    expect(told(subscriber.changes)).toEqual(truth);
    expect(subscriber.losses).toEqual([]);
    await subscriber.cut();
    await dropPings(app, false);
  },
);

const healthDocument = `query ($connection: Int!) {
  connection(id: $connection) { ... on CalendlyConnection { webhooks { health healthReasons problem notificationUrl lagMs } } }
}`;

interface Health {
  connection: {
    webhooks: {
      health: string;
      healthReasons: string[];
      problem: string | null;
      notificationUrl: string | null;
      lagMs: number;
    }[];
  };
}

it('takes the place of a webhook that pings nobody and whose creation got no answer', async () => {
  await createWebhook(app, connection);
  const [old] = await heldUpstream(app);
  const { accessToken: token } = await grantToken(app.sandbox.url);
  // It is half an hour old, by the end that the upstream tells, and so is our claim.
  await control(app.sandbox.url, 'limits', { webhookLifetimeMs: 7 * 86_400_000 - 30 * 60_000 });
  await call(app.sandbox.url, 'POST', `/v0/bases/${crm.baseId}/webhooks`, {
    token,
    json: { specification: { options: { filters: { dataTypes: ['tableData'] } } } },
  });
  await app.database.query(
    `INSERT INTO webhooks (id, feed_id, generation, connection_id, state, created_at)
     SELECT gen_random_uuid(), feed_id, 1, connection_id, 'failed', clock_timestamp() - interval '30 min'
     FROM webhooks WHERE state = 'active'`,
  );
  await loseSecret();
  await replaced(old?.id ?? '');
});

const itAtLength = isLongRun ? it : it.skip;

itAtLength(
  'keeps pulling a webhook whose address is outdated while somebody else has the second place',
  async () => {
    const subscriber = await follow().started();
    const [old] = await heldUpstream(app);
    const { accessToken: token } = await grantToken(app.sandbox.url);
    const other = await call(app.sandbox.url, 'POST', `/v0/bases/${crm.baseId}/webhooks`, {
      token,
      json: { specification: { options: { filters: { dataTypes: ['tableData'] } } } },
    });
    const { id: otherId } = other.body as { id: string };
    const settled = `created_at = created_at - interval '1 hour'`;
    await app.database.query(
      `UPDATE webhooks SET notification_url = 'https://old.example.com/webhooks/calendly/' || id, ${settled}`,
    );
    await checkSoon(app);
    const webhook = async () =>
      (await ask<Health>(app, healthDocument, { connection })).connection.webhooks[0];
    await until(async () => (await webhook())?.healthReasons.includes('REPLACEMENT_BLOCKED') ?? false);
    expect(await webhook()).toMatchObject({
      health: 'DEGRADED',
      healthReasons: ['URL_OUTDATED', 'REPLACEMENT_BLOCKED'],
      problem: expect.stringMatching(/as many webhooks as the upstream allows/),
    });
    await addContacts(app, 1);
    await app.database.query(
      `UPDATE webhooks SET last_drained_at = clock_timestamp() - interval '1 min' WHERE state = 'active'`,
    );
    await until(() => subscriber.changes.length === 1);

    await call(app.sandbox.url, 'DELETE', `/v0/bases/${crm.baseId}/webhooks/${otherId}`, { token });
    await app.database.query('UPDATE webhooks SET replacement_not_before = clock_timestamp()');
    await checkSoon(app);
    await replaced(old?.id ?? '');
    expect(await webhook()).toMatchObject({
      health: 'HEALTHY',
      healthReasons: [],
      problem: null,
      notificationUrl: expect.stringContaining(app.url),
      lagMs: expect.any(Number),
    });
    await addContacts(app, 1);
    await until(() => subscriber.changes.length === 2);
    expect(subscriber.losses).toEqual([]);
    await subscriber.cut();
  },
);

const disagreements = [
  ['leaves an address alone', 'nine minutes ago', 0, 9, false],
  ['leaves an address alone', 'eleven minutes ago', 3, 11, false],
  ['replaces an address', 'eighty minutes ago', 3, 81, true],
  ['replaces an address', 'eleven minutes ago', 0, 11, true],
  ['replaces an address', 'a day ago', 1_000, 1_441, true],
] as const;

it.each(disagreements.slice(0, repeats({ suite: 3, long: disagreements.length })))(
  '%s that another instance gave it %s, after %d quick replacements',
  async (_, __, quickReplacements, minutes, isReplaced) => {
    await createWebhook(app, connection);
    const [old] = await heldUpstream(app);
    app.logs.text = '';
    await changeWebhooks(
      app,
      `notification_url = 'https://other.example.com/webhooks/calendly/' || id, quick_replacements = ${quickReplacements},
       created_at = clock_timestamp() - make_interval(mins => ${minutes}), checked_at = NULL, check_lease_until = NULL`,
      `state = 'active'`,
    );
    await until(
      async () =>
        (
          await app.database.query(
            `SELECT 1 FROM webhooks WHERE state = 'active' AND checked_at IS NOT NULL
               AND ($1 = false OR notification_url NOT LIKE '%other.example.com%' AND quick_replacements = $2)`,
            [isReplaced, quickReplacements + 1],
          )
        ).length === 1,
    );
    if (isReplaced) await replaced(old?.id ?? '');
    else expect(await heldUpstream(app)).toMatchObject([{ id: old?.id }]);
    expect(app.logs.text.includes('again and again')).toBe(isReplaced && quickReplacements > 0);
  },
);
