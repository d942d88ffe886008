import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
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
import { ask, checkSoon, createWebhook, heldUpstream } from './operations.ts';

let app: TestApp;
let connection: number;

beforeEach(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterEach(() => app.close());

const follow = (after?: string) => new Subscriber(app, { connection, baseId: crm.baseId, after });

async function loseSecret(): Promise<void> {
  await app.database.query(
    `UPDATE webhooks SET mac_secret_envelope = NULL, checked_at = NULL, check_lease_until = NULL WHERE state = 'active'`,
  );
}

/** Holds the next such call, or its answer, until all faults are cleared. */
async function hold(method: string, path: string, effect: 'before' | 'after'): Promise<void> {
  const match = { method, path: `/v0/bases/*/webhooks${path}` };
  await control(app.sandbox.url, 'faults', { match, kind: 'delay', effect, delayMs: 60_000, times: 1 });
}

const isHolding = () => app.sandbox.context.faults.list().some(({ applied }) => applied > 0);

const replaced = (id: string) =>
  until(async () => {
    const [only, ...others] = await heldUpstream(app);
    return only !== undefined && only.id !== id && others.length === 0;
  });

it('replaces a webhook whose secret is lost, and tells once what both have recorded', async () => {
  const start = await ledgerEnd(app);
  const subscriber = await follow().started();
  const [old] = await heldUpstream(app);
  await addContacts(app, 1);
  await hold('POST', '', 'after');
  await loseSecret();
  await until(isHolding);
  expect(await heldUpstream(app)).toHaveLength(2);
  await addContacts(app, 3);
  await app.database.query('UPDATE webhooks SET drain_wanted_at = clock_timestamp()');
  await until(() => subscriber.changes.length === 4);
  await addContacts(app, 2);
  app.sandbox.context.faults.clear();
  await replaced(old?.id ?? '');
  await addContacts(app, 2);
  const truth = await ledger(app, start);
  await until(() => subscriber.changes.length >= truth.length);
  expect(told(subscriber.changes)).toEqual(truth);
  expect(subscriber.losses).toEqual([]);
  expect(await countCalls(app, 'createWebhook')).toBe(2);

  const late = await follow(subscriber.events[0]?.cursor).started();
  await until(() => late.changes.length >= truth.length);
  expect(late.changes).toEqual(subscriber.changes);
  await Promise.all([subscriber.cut(), late.cut()]);
});

it.each([
  ['the successor can not be created', 'POST', '', 'before', 'malformed'],
  ['the answer is lost that would have told of the successor', 'POST', '', 'after', 'malformed'],
  ['an instance dies before it has heard of the successor', 'POST', '', 'after', 'dead'],
  ['the old one can not be drained for the last time', 'GET', '/*/payloads', 'before', 'malformed'],
  ['the old one can not be deleted', 'DELETE', '/*', 'before', 'refused'],
  ['the old one is deleted and that is not known', 'DELETE', '/*', 'after', 'refused'],
] as const)('comes to the same end when %s', async (_, method, path, effect, kind) => {
  const subscriber = await follow().started();
  const start = await ledgerEnd(app);
  const [old] = await heldUpstream(app);
  await dropPings(app, true);
  await addContacts(app, 1);
  await control(app.sandbox.url, 'faults', {
    match: { method, path: `/v0/bases/*/webhooks${path}` },
    effect,
    times: 1,
    ...(kind === 'refused' ? { kind: 'status', status: 403 } : { kind: 'malformed' }),
  });
  await loseSecret();
  await until(() => app.sandbox.context.faults.list().every(({ applied }) => applied > 0));
  await addContacts(app, 1);
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
    await app.database.query('UPDATE webhooks SET check_lease_until = NULL, drain_not_before = NULL');
    await delay(100);
  }
  await addContacts(app, 1);
  await app.database.query('UPDATE webhooks SET drain_wanted_at = clock_timestamp()');
  const truth = await ledger(app, start);
  await until(() => subscriber.changes.length >= truth.length);
  expect(told(subscriber.changes)).toEqual(truth);
  expect(subscriber.losses).toEqual([]);
  await subscriber.cut();
});

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

it('keeps pulling a webhook whose address is outdated while somebody else has the second place', async () => {
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
  const webhook = async () => (await ask<Health>(app, healthDocument, { connection })).connection.webhooks[0];
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
});

it('leaves an outdated address alone while instances may still disagree about it', async () => {
  await createWebhook(app, connection);
  const [old] = await heldUpstream(app);
  const other = await app.another();
  try {
    for (const calls of [1, 2]) {
      await checkSoon(app);
      await until(
        async () =>
          (await app.database.query('SELECT 1 FROM webhooks WHERE checked_at IS NOT NULL')).length === 1,
      );
      expect(await countCalls(app, 'listWebhooks')).toBeGreaterThanOrEqual(calls);
    }
    expect(await heldUpstream(app)).toMatchObject([{ id: old?.id }]);
    expect(await countCalls(app, 'createWebhook')).toBe(1);
  } finally {
    await other.close();
  }
});
