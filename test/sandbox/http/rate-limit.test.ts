import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createSandbox, type Sandbox } from '../../../sandbox/sandbox.ts';
import { call, control } from '../../support/sandbox-call.ts';
import { grantToken } from '../../support/sandbox-grant.ts';

const CRM = '/v0/appABC123/Contacts?maxRecords=1';
const COUNTRIES = '/v0/meta/bases/appWorldCountries/tables';
const LIMITED = { type: 'RATE_LIMIT_REACHED', message: 'Rate limit exceeded. Please try again later' };

let sandbox: Sandbox;
let token: string;
beforeAll(async () => {
  sandbox = await createSandbox({ size: 'small' });
});
afterAll(() => sandbox.close());
beforeEach(async () => {
  sandbox.context.reset();
  token = (await grantToken(sandbox.url)).accessToken;
  await control(sandbox.url, 'DELETE', 'calls');
});

async function statuses(count: number, path = CRM): Promise<number[]> {
  const answers: number[] = [];
  for (let i = 0; i < count; i += 1) answers.push((await call(sandbox.url, 'GET', path, { token })).status);
  return answers;
}

/** Six calls in a row would be slower than a second on a busy machine only; the clock does not stand still. */
async function exhaust(): Promise<void> {
  const answers = await Promise.all(
    Array.from({ length: 12 }, () => call(sandbox.url, 'GET', CRM, { token })),
  );
  expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThan(0);
}

describe('the rate limit', () => {
  test('lets five calls a second through and refuses the sixth', async () => {
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => call(sandbox.url, 'GET', CRM, { token })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 429]);
    expect(answers.find(({ status }) => status === 429)?.body).toEqual({ error: LIMITED });
  });

  test('then refuses every call of the base for 30 seconds, and no longer', async () => {
    await exhaust();
    await control(sandbox.url, 'POST', 'clock', { advanceMs: 29_000 });
    expect(await statuses(1)).toEqual([429]);
    await control(sandbox.url, 'POST', 'clock', { advanceMs: 1_000 });
    expect(await statuses(2)).toEqual([200, 200]);
  });

  test('is by base: others are not affected', async () => {
    await exhaust();
    expect(await statuses(1, COUNTRIES)).toEqual([200]);
  });

  test('counts all callers, tables, endpoints and webhooks of a base together', async () => {
    const other = (
      await grantToken(sandbox.url, {
        clientId: 'calendly_client_second',
        clientSecret: 'secret_calendly_second',
      })
    ).accessToken;
    const paths = [
      CRM,
      '/v0/appABC123/Deals?maxRecords=1',
      '/v0/meta/bases/appABC123/tables',
      '/v0/bases/appABC123/webhooks',
    ];
    const answers = await Promise.all([
      ...paths.map((path) => call(sandbox.url, 'GET', path, { token })),
      ...paths.map((path) => call(sandbox.url, 'GET', path, { token: other })),
    ]);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(3);
  });

  test('does not touch calls without a base', async () => {
    expect(await statuses(8, '/v0/meta/bases')).toEqual(Array(8).fill(200));
  });

  test('is lifted by requestsPerSecond 0', async () => {
    await control(sandbox.url, 'POST', 'limits', { requestsPerSecond: 0 });
    expect(await statuses(12)).toEqual(Array(12).fill(200));
  });

  test('is not spent by calls without a living token', async () => {
    for (let i = 0; i < 8; i += 1) await call(sandbox.url, 'GET', CRM, { token: 'unknown' });
    expect(await statuses(1)).toEqual([200]);
  });
});

describe('the 429 body', () => {
  test('is the list form under its switch', async () => {
    await control(sandbox.url, 'POST', 'switches', { rateLimitBody: 'array' });
    await exhaust();
    const { body } = await call(sandbox.url, 'GET', CRM, { token });
    const { type, message } = LIMITED;
    expect(body).toEqual({ errors: [{ error: type, message }] });
  });

  test('comes without Retry-After, and with it under its switch', async () => {
    await exhaust();
    expect((await call(sandbox.url, 'GET', CRM, { token })).headers.get('retry-after')).toBeNull();
    await control(sandbox.url, 'POST', 'switches', { retryAfterHeader: true });
    await control(sandbox.url, 'POST', 'clock', { advanceMs: 20_000 });
    const seconds = Number((await call(sandbox.url, 'GET', CRM, { token })).headers.get('retry-after'));
    expect(seconds).toBeGreaterThanOrEqual(8);
    expect(seconds).toBeLessThanOrEqual(10);
  });

  test('tells the monthly cap on data calls, while meta calls go on', async () => {
    await control(sandbox.url, 'POST', 'switches', { monthlyCapReached: true });
    expect(await call(sandbox.url, 'GET', CRM, { token })).toMatchObject({
      status: 429,
      body: { error: { type: 'PUBLIC_API_BILLING_LIMIT_EXCEEDED' } },
    });
    expect(await statuses(1, '/v0/meta/bases')).toEqual([200]);
    expect(await statuses(1, '/v0/meta/bases/appABC123/tables')).toEqual([200]);
  });
});

describe('counted calls', () => {
  interface Counts {
    total: number;
    byEndpoint: Record<string, number>;
    byBase: Record<
      string,
      { total: number; byEndpoint: Record<string, number>; highestInOneSecond: number; limited: number }
    >;
  }

  test('are told by endpoint and base, refused ones included', async () => {
    await Promise.all(Array.from({ length: 7 }, () => call(sandbox.url, 'GET', CRM, { token })));
    await call(sandbox.url, 'GET', '/v0/meta/bases', { token });
    const counts = await control<Counts>(sandbox.url, 'GET', 'calls');
    expect(counts).toMatchObject({ total: 8, byEndpoint: { listRecords: 7, listBases: 1 } });
    expect(counts.byBase).toEqual({
      appABC123: { total: 7, byEndpoint: { listRecords: 7 }, highestInOneSecond: 7, limited: 2 },
    });
  });

  test('remember the highest number in any one second', async () => {
    await control(sandbox.url, 'POST', 'limits', { requestsPerSecond: 0 });
    await Promise.all(Array.from({ length: 4 }, () => call(sandbox.url, 'GET', CRM, { token })));
    await control(sandbox.url, 'POST', 'clock', { advanceMs: 2_000 });
    await Promise.all(Array.from({ length: 2 }, () => call(sandbox.url, 'GET', CRM, { token })));
    const { byBase } = await control<Counts>(sandbox.url, 'GET', 'calls');
    expect(byBase.appABC123).toMatchObject({ total: 6, highestInOneSecond: 4, limited: 0 });
  });

  test('start anew after DELETE, and nothing else does', async () => {
    await statuses(1);
    await control(sandbox.url, 'DELETE', 'calls');
    expect(await control(sandbox.url, 'GET', 'calls')).toEqual({ total: 0, byEndpoint: {}, byBase: {} });
    expect(await statuses(1)).toEqual([200]);
  });
});
