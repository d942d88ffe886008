import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSandbox, type Sandbox } from '../../../sandbox/sandbox.ts';
import type { WebhookDoc } from '../../../sandbox/webhooks/webhook.ts';
import { control } from '../../support/sandbox-call.ts';
import { PingReceiver, until } from '../../support/ping-receiver.ts';
import { grantToken } from '../../support/sandbox-grant.ts';
import { BASE_ID, CONTACTS, WEBHOOKS, WebhookCalls, type CreatedWebhook } from './webhook-calls.ts';

const DATA = { dataTypes: ['tableData'], recordChangeScope: CONTACTS };

let sandbox: Sandbox;
let calls: WebhookCalls;
let receiver: PingReceiver;
let webhook: CreatedWebhook;
beforeAll(async () => {
  sandbox = await createSandbox({ size: 'small' });
  receiver = await new PingReceiver().start();
});
afterAll(async () => {
  await sandbox.close();
  await receiver.close();
});
beforeEach(async () => {
  sandbox.context.reset();
  sandbox.context.settings.changeLimits({
    requestsPerSecond: 0,
    accessTokenLifetimeMs: 1e12,
    webhookLifetimeMs: 1e11,
    pingCoalesceMs: 1,
  });
  receiver.reset();
  calls = new WebhookCalls(sandbox, (await grantToken(sandbox.url)).accessToken);
  webhook = await calls.create(DATA, { notificationUrl: receiver.url });
});

const advance = (advanceMs: number) => control(sandbox.url, 'POST', 'clock', { advanceMs });
const change = () => calls.edit({ create: [{ fields: { Name: 'Someone' } }] });
const lastResult = async () =>
  (await calls.listed(webhook.id))?.lastNotificationResult as Record<string, unknown> | null;

/** Waits until the sandbox has written down the outcome of a try. */
function settled(retryNumber: number, success: boolean): Promise<void> {
  return until(`the outcome of try ${retryNumber}`, async () => {
    const result = await lastResult();
    return result?.retryNumber === retryNumber && result.success === success;
  });
}

describe('a ping', () => {
  test('is a thin, compact JSON POST, signed over its raw bytes', async () => {
    await change();
    await receiver.received(1);
    const [ping] = receiver.pings;
    const { timestamp } = JSON.parse(ping?.body ?? '') as { timestamp: string };
    expect(ping?.body).toBe(
      `{"base":{"id":"${BASE_ID}"},"webhook":{"id":"${webhook.id}"},"timestamp":"${timestamp}"}`,
    );
    expect(new Date(timestamp).toISOString()).toBe(timestamp);
    expect(ping?.headers['content-type']).toBe('application/json');
    const key = Buffer.from(webhook.macSecretBase64, 'base64');
    const mac = createHmac('sha256', key)
      .update(ping?.body ?? '')
      .digest('hex');
    expect(ping?.headers['x-airtable-content-mac']).toBe(`hmac-sha256=${mac}`);
  });

  test.each([200, 204])('succeeds with %i, and the list tells so', async (status) => {
    receiver.answer = status;
    expect(await lastResult()).toBeNull();
    await change();
    await settled(0, true);
    expect(await calls.listed(webhook.id)).toMatchObject({
      areNotificationsEnabled: true,
      lastSuccessfulNotificationTime: expect.stringMatching(/Z$/),
      lastNotificationResult: {
        success: true,
        completionTimestamp: expect.stringMatching(/Z$/),
        durationMs: expect.any(Number),
        retryNumber: 0,
      },
    });
  });

  test('stands for all changes that come close together', async () => {
    sandbox.context.settings.changeLimits({ pingCoalesceMs: 300 });
    for (let i = 0; i < 5; i += 1) await change();
    await settled(0, true);
    expect(receiver.pings).toHaveLength(1);
    expect((await calls.payloads(webhook.id)).payloads).toHaveLength(5);
  });

  test('is followed by another one if changes came while it was on its way', async () => {
    receiver.queued = [0];
    await change();
    await receiver.received(1);
    await change();
    receiver.release();
    await receiver.received(2);
  });

  test('is not sent for changes that the webhook filters out', async () => {
    const other = await calls.create({ ...DATA, changeTypes: ['remove'] }, { notificationUrl: receiver.url });
    await change();
    await settled(0, true);
    expect(receiver.pings.filter(({ body }) => body.includes(other.id))).toEqual([]);
  });

  test('may come right after creation, under its switch', async () => {
    await calls.call('DELETE', `${WEBHOOKS}/${webhook.id}`);
    await control(sandbox.url, 'POST', 'switches', { pingOnCreate: true });
    await calls.create(DATA, { notificationUrl: receiver.url });
    await receiver.received(1);
  });

  test('comes for an error payload, too', async () => {
    const { tableId } = await calls.schema({ addTable: { name: 'Short-lived' } });
    const { id } = await calls.create(
      { dataTypes: ['tableData'], recordChangeScope: tableId },
      { notificationUrl: receiver.url },
    );
    await calls.schema({ removeTable: { tableId } });
    await until('the ping', () => receiver.pings.some(({ body }) => body.includes(id)));
  });
});

/** From the last failure to the retry that is planned. */
function plannedWaitMs(result: Record<string, unknown> | null): number {
  const planned = sandbox.context.state.collection<WebhookDoc>('webhooks').get(webhook.id)?.duePing;
  return (planned?.dueAt ?? 0) - Date.parse(String(result?.completionTimestamp));
}

describe('a failed ping', () => {
  test.each([
    [503, 'The HTTP request returned a 503 status code instead of 200 or 204'],
    [201, 'The HTTP request returned a 201 status code instead of 200 or 204'],
    [302, 'The HTTP request returned a 302 status code instead of 200 or 204'],
  ])('with status %i is told with its reason, and will be retried', async (status, message) => {
    receiver.queued = [status];
    await change();
    await settled(0, false);
    expect(await lastResult()).toEqual({
      success: false,
      error: { message },
      completionTimestamp: expect.any(String),
      durationMs: expect.any(Number),
      retryNumber: 0,
      willBeRetried: true,
    });
  });

  test('without a connection is a failure', async () => {
    const dead = await new PingReceiver().start();
    await dead.close();
    await calls.call('DELETE', `${WEBHOOKS}/${webhook.id}`);
    webhook = await calls.create(DATA, { notificationUrl: dead.url });
    await change();
    await settled(0, false);
    expect(await lastResult()).toMatchObject({
      error: { message: expect.stringContaining('no connection') },
    });
  });

  test('without an answer in time is a failure', async () => {
    expect(sandbox.context.settings.limits.pingTimeoutMs).toBe(25_000);
    sandbox.context.settings.changeLimits({ pingTimeoutMs: 50 });
    receiver.queued = [0];
    await change();
    await settled(0, false);
    expect(await lastResult()).toMatchObject({ error: { message: 'The HTTP request timed out' } });
  });

  test('is retried 13 times, from 10 s on doubling, then notifications are off while payloads go on', async () => {
    receiver.answer = 500;
    await change();
    await settled(0, false);
    let waited = 0;
    for (let retry = 1; retry <= 13; retry += 1) {
      const waitMs = 10_000 * 2 ** (retry - 1);
      waited += waitMs;
      expect(plannedWaitMs(await lastResult())).toBeCloseTo(waitMs, -3);
      expect(receiver.pings).toHaveLength(retry);
      await advance(waitMs);
      await settled(retry, false);
      expect(receiver.pings).toHaveLength(retry + 1);
    }
    expect(waited).toBe(81_910_000);
    expect(await calls.listed(webhook.id)).toMatchObject({
      areNotificationsEnabled: false,
      isHookEnabled: true,
      lastNotificationResult: { retryNumber: 13, willBeRetried: false },
    });
    await change();
    await advance(10 ** 8);
    expect(receiver.pings).toHaveLength(14);
    expect((await calls.payloads(webhook.id)).payloads).toHaveLength(2);
  });

  test('ends its retries when one succeeds', async () => {
    receiver.queued = [500];
    await change();
    await settled(0, false);
    await advance(10_000);
    await settled(1, true);
    await advance(10 ** 6);
    expect(receiver.pings).toHaveLength(2);
  });

  test('waits as long as retryBaseMs says', async () => {
    sandbox.context.settings.changeLimits({ retryBaseMs: 5 });
    receiver.queued = [500, 500];
    await change();
    await settled(2, true);
  });

  test('is made up for when notifications are enabled again', async () => {
    sandbox.context.settings.changeLimits({ retryCount: 0 });
    receiver.queued = [500];
    await change();
    await settled(0, false);
    expect(await calls.listed(webhook.id)).toMatchObject({ areNotificationsEnabled: false });
    await calls.call('POST', `${WEBHOOKS}/${webhook.id}/enableNotifications`, { enable: true });
    await receiver.received(2);
    await settled(0, true);
  });

  test('is not retried for a webhook that was deleted', async () => {
    receiver.queued = [500];
    await change();
    await settled(0, false);
    await calls.call('DELETE', `${WEBHOOKS}/${webhook.id}`);
    const other = await calls.create(DATA, { notificationUrl: receiver.url });
    await advance(10 ** 6);
    await change();
    await receiver.received(2);
    expect(receiver.pings[1]?.body).toContain(other.id);
  });
});

describe('disturbed pings', () => {
  test('get lost as often as told, and then arrive again', async () => {
    await control(sandbox.url, 'POST', 'pings', { drop: 1 });
    await change();
    await settled(0, true);
    expect(receiver.pings).toEqual([]);
    await change();
    await receiver.received(1);
    expect((await calls.payloads(webhook.id)).payloads).toHaveLength(2);
  });

  test('come once more for each repetition', async () => {
    await control(sandbox.url, 'POST', 'pings', { repeat: 2 });
    await change();
    await receiver.received(3);
    expect(new Set(receiver.pings.map(({ body }) => body)).size).toBe(1);
  });

  test('come late by the delay', async () => {
    await control(sandbox.url, 'POST', 'pings', { delayMs: 150 });
    const start = performance.now();
    await change();
    await receiver.received(1);
    expect(performance.now() - start).toBeGreaterThanOrEqual(145);
  });

  test.each([
    { drop: -1 },
    { drop: 1.5 },
    { repeat: 21 },
    { delayMs: 'long' },
    { delayMs: [5, 1] },
    { lose: 1 },
  ])('are refused with 400 for %j', async (input) => {
    await expect(control(sandbox.url, 'POST', 'pings', input)).rejects.toThrow('answered 400');
  });
});

test('a ping that is due survives a restart', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'sandbox-pings-'));
  try {
    const first = await createSandbox({ size: 'small', dataDir });
    first.context.settings.changeLimits({ pingCoalesceMs: 1 });
    const before = new WebhookCalls(first, (await grantToken(first.url)).accessToken);
    const created = await before.create(DATA, { notificationUrl: receiver.url });
    receiver.queued = [500];
    await before.edit({ create: [{ fields: { Name: 'Before' } }] });
    await until(
      'the failure',
      async () => (await before.listed(created.id))?.lastNotificationResult !== null,
    );
    await first.close();

    const second = await createSandbox({ size: 'small', dataDir });
    const after = new WebhookCalls(second, before.token);
    await control(second.url, 'POST', 'clock', { advanceMs: 10_000 });
    await receiver.received(2);
    expect(receiver.pings[1]?.body).toContain(created.id);
    expect((await after.payloads(created.id)).payloads).toHaveLength(1);
    await second.close();
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});
