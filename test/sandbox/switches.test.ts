import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createSandbox } from '../../sandbox/sandbox.ts';
import { CONTACTS, CRM, SandboxAccount, type Json } from '../clients/sandbox-account.ts';

/** Every way to make the sandbox behave otherwise, one test each. */

const TABLE = `/v0/${CRM}/Contacts`;
const CLIENT = Buffer.from('calendly_client_xyz789:secret_calendly_abc123').toString('base64');

let account: SandboxAccount;

beforeEach(async () => {
  account = await SandboxAccount.open();
});

afterEach(() => account.close());

async function refresh(refreshToken: string): Promise<{ status: number; json: Json }> {
  const response = await fetch(`${account.url}/oauth2/v1/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${CLIENT}`, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken }),
  });
  return { status: response.status, json: (await response.json()) as Json };
}

async function statuses(count: number): Promise<number[]> {
  const seen: number[] = [];
  for (let call = 0; call < count; call += 1)
    seen.push((await account.call('GET', `${TABLE}?pageSize=1`)).status);
  return seen;
}

test('the clock moves when told to', async () => {
  await account.control('clock', { advanceMs: 3_650 * 86_400_000 });
  const { json } = await refresh(account.refreshToken);
  expect(json['error']).toBe('invalid_grant');
});

test('ids repeat with a seed', async () => {
  const idsOf = async (): Promise<string[]> => {
    const sandbox = await createSandbox({ size: 'small', seed: 7 });
    const ids = Array.from({ length: 3 }, () => sandbox.context.ids.next('rec'));
    await sandbox.close();
    return ids;
  };
  expect(await idsOf()).toEqual(await idsOf());
});

test('a page cap forces paging on small data', async () => {
  await account.control('limits', { pageCap: 7 });
  const { json } = await account.call('GET', `${TABLE}?maxRecords=10`);
  expect(json['records']).toHaveLength(7);
  expect(json['offset']).toMatch(/^itr\w{14}\/rec\w{14}$/);
});

test('an iterator that was left alone is gone', async () => {
  const { json } = await account.call('GET', `${TABLE}?pageSize=5`);
  await account.control('limits', { iteratorLifetimeMs: 1_000 });
  await account.control('clock', { advanceMs: 2_000 });
  const next = await account.call(
    'GET',
    `${TABLE}?pageSize=5&offset=${encodeURIComponent(String(json['offset']))}`,
  );
  expect(next.status).toBe(422);
  expect(next.json).toEqual({ error: { type: 'LIST_RECORDS_ITERATOR_NOT_AVAILABLE' } });
});

test.each([429, 503, 401])('a %i comes on the n-th call', async (status) => {
  await account.control('faults', {
    match: { path: `/v0/${CRM}/*` },
    after: 1,
    times: 1,
    kind: 'status',
    status,
  });
  expect(await statuses(3)).toEqual([200, status, 200]);
});

test('too many calls start a penalty that ends after its time', async () => {
  await account.control('limits', { requestsPerSecond: 2, penaltyMs: 60_000 });
  expect((await statuses(5)).filter((status) => status === 429).length).toBeGreaterThan(0);
  await account.control('clock', { advanceMs: 30_000 });
  expect(await statuses(1)).toEqual([429]);
  await account.control('clock', { advanceMs: 31_000 });
  expect(await statuses(1)).toEqual([200]);
});

test('at the monthly cap data calls are refused and meta calls go on', async () => {
  await account.control('switches', { monthlyCapReached: true });
  const data = await account.call('GET', TABLE);
  expect(data.status).toBe(429);
  expect(data.json).toMatchObject({ error: { type: 'PUBLIC_API_BILLING_LIMIT_EXCEEDED' } });
  expect((await account.call('GET', `/v0/meta/bases/${CRM}/tables`)).status).toBe(200);
});

test('a refresh that comes twice is a 409 the second time, or the end of the grant', async () => {
  const first = await refresh(account.refreshToken);
  expect(first.status).toBe(200);
  expect((await refresh(account.refreshToken)).status).toBe(409);
  await account.control('switches', { duplicateRefreshConflict: false });
  expect(await refresh(account.refreshToken)).toMatchObject({
    status: 400,
    json: { error: 'invalid_grant' },
  });
});

test('tokens live as long as they are told to', async () => {
  await account.control('limits', { accessTokenLifetimeMs: 5_000, refreshTokenLifetimeMs: 10_000 });
  const { json } = await refresh(account.refreshToken);
  expect(json).toMatchObject({ expires_in: 5, refresh_expires_in: 10 });
  await account.control('clock', { advanceMs: 6_000 });
  const call = await fetch(`${account.url}/v0/meta/whoami`, {
    headers: { authorization: `Bearer ${String(json['access_token'])}` },
  });
  expect(call.status).toBe(401);
  await account.control('clock', { advanceMs: 5_000 });
  expect((await refresh(String(json['refresh_token']))).json['error']).toBe('invalid_grant');
});

test('the token type has a trailing space', async () => {
  await account.control('switches', { tokenTypeTrailingSpace: true });
  expect((await refresh(account.refreshToken)).json['token_type']).toBe('Bearer ');
});

test('the body of a 429 is an array of errors', async () => {
  await account.control('switches', { rateLimitBody: 'array' });
  await account.control('limits', { requestsPerSecond: 1 });
  await statuses(3);
  const { status, json } = await account.call('GET', TABLE);
  expect(status).toBe(429);
  expect(json).toEqual({
    errors: [{ error: 'RATE_LIMIT_REACHED', message: 'Rate limit exceeded. Please try again later' }],
  });
});

/** A receiver of pings that answers with the given statuses in turn, then 200, and keeps when they came. */
class Receiver {
  readonly pings: Json[] = [];
  private readonly waiting: { count: number; resolve: () => void }[] = [];

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async open(...answers: number[]): Promise<Receiver> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        response.writeHead(answers.shift() ?? 200).end();
        receiver.take(JSON.parse(Buffer.concat(chunks).toString()) as Json);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const receiver = new Receiver(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`);
    return receiver;
  }

  /** Resolves once that many pings came. */
  received(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push({ count, resolve });
      this.settle();
    });
  }

  close(): Promise<void> {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(() => resolve()));
  }

  private take(ping: Json): void {
    this.pings.push(ping);
    this.settle();
  }

  private settle(): void {
    for (const { count, resolve } of this.waiting) if (this.pings.length >= count) resolve();
  }
}

async function withWebhook(receiver: Receiver, act: (webhook: string) => Promise<void>): Promise<void> {
  try {
    const root = `/v0/bases/${CRM}/webhooks`;
    const { status, json } = await account.call('POST', root, {
      notificationUrl: receiver.url,
      specification: { options: { filters: { dataTypes: ['tableData'], recordChangeScope: CONTACTS } } },
    });
    expect(status).toBe(200);
    await act(String(json['id']));
  } finally {
    await receiver.close();
  }
}

test('a ping can be repeated and held back', async () => {
  const receiver = await Receiver.open();
  await withWebhook(receiver, async (webhook) => {
    await account.control('pings', { repeat: 1, delayMs: 300 });
    const before = Date.now();
    await account.call('POST', TABLE, { fields: { Name: 'Pinged' } });
    await receiver.received(2);
    expect(Date.now() - before).toBeGreaterThanOrEqual(290);
    expect(receiver.pings).toMatchObject([{ webhook: { id: webhook } }, { webhook: { id: webhook } }]);
  });
});

test('a failed ping is retried on a schedule that can be shortened, then notifications are off', async () => {
  await account.control('limits', { retryBaseMs: 10, retryCount: 2 });
  const receiver = await Receiver.open(500, 500, 500);
  await withWebhook(receiver, async (webhook) => {
    await account.call('POST', TABLE, { fields: { Name: 'Pinged' } });
    await receiver.received(3);
    await expect(areNotificationsOff(webhook)).resolves.toBe(true);
  });
});

/** Asks until notifications are off; the test's own timeout is the bound. */
async function areNotificationsOff(webhook: string): Promise<boolean> {
  for (;;) {
    const { json } = await account.call('GET', `/v0/bases/${CRM}/webhooks`);
    const found = (json['webhooks'] as Json[]).find(({ id }) => id === webhook);
    if (found?.['areNotificationsEnabled'] === false) return true;
  }
}
