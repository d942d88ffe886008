import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { systemClock } from '../../src/clock.ts';
import { CallMeter } from '../../src/calendly/operation.ts';
import type { TestDatabase } from '../support/database.ts';
import { createBudgetDatabase, TestClient, TestTokens } from './client.ts';
import { answer, cutOff, reset, silence, ThrowawayUpstream, type Behaviour } from './throwaway-upstream.ts';

const table = 'tbl1';
const record = { id: 'rec1', createdTime: '2026-01-02T03:04:05.000Z', fields: { fld1: 'x' } };
const page = answer(200, { records: [record] });
const created = page;
const gatewayPage = answer(502, '<html>Bad gateway</html>', { 'content-type': 'text/html' });
const token = 'oaa-secret-token';

let database: TestDatabase;
let upstream: ThrowawayUpstream;
let client: TestClient;
/** A base of its own for each test, so that no test waits for another's allowance. */
let base: string;

beforeAll(async () => {
  database = await createBudgetDatabase();
  upstream = await new ThrowawayUpstream().start();
  client = new TestClient(database, upstream.url, {
    calls: 50,
    penaltyMs: 60_000,
    timeouts: { readMs: 400, writeMs: 400 },
  });
});
beforeEach(() => {
  base = `app${randomUUID().replaceAll('-', '')}`;
});
afterAll(async () => {
  await client.close();
  await upstream.close();
  await database.close();
});

const list = (...operation: Parameters<TestClient['api']>[1][]) =>
  client.api(token, operation[0]).listRecords(base, table, {});
const create = async () =>
  (await client.api(token).createRecords(base, table, [{ fields: { fld1: 'x' } }])).records;
const update = async () =>
  (await client.api(token).updateRecords(base, table, [{ id: 'rec1', fields: { fld1: 'x' } }])).records;
const remove = (ids = ['rec1', 'rec2']) => client.api(token).deleteRecords(base, table, ids);

/** What the budget of this test's base has on its log. */
async function sendings(): Promise<unknown> {
  const [row] = await database.query('SELECT cardinality(sent) AS count FROM rate_budgets WHERE key = $1', [
    `base:${base}`,
  ]);
  return row?.count;
}

async function permitsPausedUntil(): Promise<unknown> {
  const [row] = await database.query('SELECT paused_until FROM rate_budgets WHERE key = $1', [
    `base:${base}`,
  ]);
  return row?.paused_until ?? null;
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
}

describe('what leaves', () => {
  test('a call carries the token, asks for field ids and says who we are', async () => {
    upstream.behave(page);
    await expect(list()).resolves.toEqual({ records: [record], offset: null });
    expect(upstream.received).toHaveLength(1);
    expect(upstream.received[0]).toMatchObject({
      method: 'GET',
      url: `/v0/${base}/${table}?returnFieldsByFieldId=true`,
      headers: { authorization: `Bearer ${token}`, 'user-agent': 'omnera-calendly-connections' },
    });
  });

  test('the address may have a path of its own', async () => {
    const behind = new TestClient(database, `${upstream.url}/gateway/`);
    upstream.behave(page);
    await behind.api(token).listRecords(base, table, {});
    expect(upstream.received[0]?.url).toBe(`/gateway/v0/${base}/${table}?returnFieldsByFieldId=true`);
    await behind.close();
  });

  test('a listing whose URL would be too long goes as a POST with the same parameters', async () => {
    upstream.behave(page);
    const filterByFormula = `{fld1}='${'é'.repeat(3_000)}'`;
    const sort = [{ field: 'fld1' }, { field: 'fld2', direction: 'desc' as const }];
    await client
      .api(token)
      .listRecords(base, table, { filterByFormula, sort, fields: ['fld1'], pageSize: 10, offset: null });
    expect(upstream.received[0]).toMatchObject({ method: 'POST', url: `/v0/${base}/${table}/listRecords` });
    expect(JSON.parse(upstream.received[0]?.body ?? '')).toEqual({
      returnFieldsByFieldId: true,
      filterByFormula,
      sort: [
        { field: 'fld1', direction: 'asc' },
        { field: 'fld2', direction: 'desc' },
      ],
      fields: ['fld1'],
      pageSize: 10,
    });
  });

  test('an id that is none never reaches a URL', async () => {
    upstream.behave(page);
    await expect(client.api(token).listRecords(`${base}/../x`, table, {})).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    });
    await expect(remove(["rec1'"])).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await expect(remove([])).rejects.toMatchObject({ code: 'TOO_MANY' });
    expect(upstream.received).toHaveLength(0);
  });
});

describe('answers that are none', () => {
  test.each<[string, Behaviour]>([
    ['a page of HTML', answer(200, '<html>hello</html>', { 'content-type': 'text/html' })],
    ['malformed JSON', answer(200, '{"records": [')],
    ['an empty body', answer(200, '')],
    ['another shape', answer(200, { records: [{ id: 7 }] })],
    ['a list', answer(200, [])],
    ['a redirect', answer(302, '', { location: 'http://127.0.0.1:1/' })],
  ])('%s is UPSTREAM_UNREADABLE, and is not asked for again', async (_, behaviour) => {
    upstream.behave(behaviour);
    await expect(list()).rejects.toMatchObject({ code: 'UPSTREAM_UNREADABLE' });
    expect(upstream.received).toHaveLength(1);
    upstream.behave(behaviour);
    await expect(create()).rejects.toMatchObject({
      code: 'UPSTREAM_UNREADABLE',
      details: { outcome: 'unknown' },
    });
    expect(upstream.received).toHaveLength(1);
  });

  test('an answer for fewer records than were written leaves the outcome unknown', async () => {
    upstream.behave(answer(200, { records: [] }));
    await expect(create()).rejects.toMatchObject({
      code: 'UPSTREAM_UNREADABLE',
      details: { outcome: 'unknown' },
    });
  });

  test('an answer without end is cut off', async () => {
    upstream.behave((response) => {
      const chunk = Buffer.alloc(1024 * 1024, 32);
      const more = (): void => {
        while (!response.destroyed && response.write(chunk));
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    });
    const patient = new TestClient(database, upstream.url);
    await expect(patient.api(token).listRecords(base, table, {})).rejects.toMatchObject({
      code: 'UPSTREAM_UNREADABLE',
      message: expect.stringContaining('larger than'),
    });
    await patient.close();
  });
});

describe('lost answers', () => {
  test.each<[string, Behaviour]>([
    ['a reset connection', reset],
    ['an answer cut off in the middle', cutOff],
    ['silence', silence],
    ['502 with HTML', gatewayPage],
    ['503', answer(503, { error: { type: 'RETRIABLE_ERROR', message: 'safe to retry' } })],
  ])('after %s, reads, updates by id and deletes are sent again', async (_, behaviour) => {
    const meter = new CallMeter();
    upstream.behave(behaviour, page);
    await expect(list({ meter })).resolves.toMatchObject({ records: [record] });
    expect(meter).toMatchObject({ calls: 2, retries: 1 });
    upstream.behave(behaviour, page);
    await expect(update()).resolves.toEqual([record]);
    upstream.behave(behaviour, answer(200, { records: [{ id: 'rec1', deleted: true }] }));
    await expect(remove(['rec1'])).resolves.toEqual(['rec1']);
    expect(upstream.received).toHaveLength(2);
  });

  test.each<[string, Behaviour]>([
    ['a reset connection', reset],
    ['an answer cut off in the middle', cutOff],
    ['silence', silence],
    ['502 with HTML', gatewayPage],
    ['500', answer(500, { error: { type: 'SERVER_ERROR' } })],
  ])(
    'after %s, creates and upserts are never sent again and say that the outcome is unknown',
    async (_, behaviour) => {
      upstream.behave(behaviour, created);
      await expect(create()).rejects.toMatchObject({
        code: 'UPSTREAM_UNAVAILABLE',
        details: { outcome: 'unknown' },
      });
      expect(upstream.received).toHaveLength(1);
      upstream.behave(behaviour, created);
      const upsert = client
        .api(token)
        .upsertRecords(base, table, [{ fields: {} }], { fieldsToMergeOn: ['fld1'] });
      await expect(upsert).rejects.toMatchObject({
        code: 'UPSTREAM_UNAVAILABLE',
        details: { outcome: 'unknown' },
      });
      expect(upstream.received).toHaveLength(1);
    },
  );

  test('500 is not asked for again', async () => {
    upstream.behave(answer(500, { error: 'SERVER_ERROR' }), page);
    await expect(list()).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' });
    expect(upstream.received).toHaveLength(1);
  });

  test('a delete that worked although its answer was lost is no error when it is sent again', async () => {
    const gone = answer(422, {
      error: { type: 'ROW_DOES_NOT_EXIST', message: 'Record ID rec1 does not exist in this table' },
    });
    upstream.behave(reset, gone, answer(200, { records: [] }));
    await expect(remove()).resolves.toEqual(['rec1', 'rec2']);
    expect(upstream.received.map(({ method }) => method)).toEqual(['DELETE', 'DELETE', 'GET']);
    upstream.behave(reset, gone, page);
    await expect(remove()).rejects.toMatchObject({
      code: 'RECORD_NOT_FOUND',
      details: { outcome: 'unknown' },
    });
    upstream.behave(gone);
    await expect(remove()).rejects.toMatchObject({ code: 'RECORD_NOT_FOUND' });
    expect(upstream.received).toHaveLength(1);
  });

  test('a delete that was refused after a lost answer has an unknown outcome when looking fails as well', async () => {
    upstream.behave(reset, answer(404, { error: 'NOT_FOUND' }), answer(500, { error: 'SERVER_ERROR' }));
    await expect(remove()).rejects.toMatchObject({
      code: 'RECORD_NOT_FOUND',
      details: { outcome: 'unknown' },
    });
    expect(upstream.received).toHaveLength(3);
  });

  test('an update whose answer was lost has an unknown outcome, whatever the source of tokens fails with', async () => {
    upstream.behave(reset, answer(401, { error: { type: 'UNAUTHORIZED' } }));
    const tokens = new TestTokens(token);
    tokens.replacementFor = () => Promise.reject(new Error('timeout exceeded when trying to connect'));
    const updating = client.api(tokens).updateRecords(base, table, [{ id: 'rec1', fields: {} }]);
    await expect(updating).rejects.toMatchObject({ details: { outcome: 'unknown' } });
  });

  test('an update whose answer was lost and which then finds no time any more has an unknown outcome', async () => {
    upstream.behave(reset, answer(429, { error: { type: 'RATE_LIMIT_REACHED' } }));
    await expect(update()).rejects.toMatchObject({
      code: 'UPSTREAM_RATE_LIMITED',
      details: { outcome: 'unknown' },
    });
  });

  test('Retry-After of a 503 is waited for', async () => {
    upstream.behave(answer(503, {}, { 'retry-after': '0.3' }), page);
    await list();
    const [first, second] = upstream.received;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(299);
  });

  test('where nothing listens, a create is known not to have left and is tried until the deadline', async () => {
    const closed = await new ThrowawayUpstream().start();
    const url = closed.url;
    await closed.close();
    const nowhere = new TestClient(database, url);
    const api = nowhere.api(token, { deadline: systemClock.now() + 600 });
    const failure = await api.createRecords(base, table, [{ fields: {} }]).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' });
    expect(failure).not.toMatchObject({ details: { outcome: 'unknown' } });
    await nowhere.close();
  });

  test('an upstream that comes back while we try is found', async () => {
    const gone = await new ThrowawayUpstream().start();
    const port = Number(new URL(gone.url).port);
    await gone.close();
    const waiting = new TestClient(database, `http://127.0.0.1:${port}`);
    const writing = waiting.api(token).createRecords(base, table, [{ fields: {} }]);
    const back = new ThrowawayUpstream();
    back.behave(created);
    await back.start(port);
    await expect(writing).resolves.toMatchObject({ records: [record] });
    expect(back.received).toHaveLength(1);
    await waiting.close();
    await back.close();
  });
});

describe('429', () => {
  const penaltyMs = 300;
  test.each<[string, Behaviour]>([
    ['the documented envelope', answer(429, { error: { type: 'RATE_LIMIT_REACHED', message: 'wait' } })],
    [
      'the array envelope, with a rest of no time',
      answer(429, { errors: [{ error: 'RATE_LIMIT_REACHED' }] }, { 'retry-after': '0' }),
    ],
    ['the string envelope', answer(429, { error: 'TOO_MANY_REQUESTS' })],
  ])(
    'in %s: the base rests for the penalty, also in another instance, then even a create goes again',
    async (_, tooMany) => {
      const one = new TestClient(database, upstream.url, { penaltyMs });
      const other = new TestClient(database, upstream.url);
      upstream.behave(tooMany, created);
      const writing = one.api(token).createRecords(base, table, [{ fields: { fld1: 'x' } }]);
      await until(async () => (await permitsPausedUntil()) !== null);
      const reading = other.api(token).listRecords(base, table, {});
      await expect(writing).resolves.toMatchObject({ records: [record] });
      await reading;
      const [first, ...later] = upstream.received.map(({ at }) => at);
      expect(later).toHaveLength(2);
      for (const at of later) expect(at - (first ?? 0)).toBeGreaterThanOrEqual(penaltyMs - 5);
      await one.close();
      await other.close();
    },
  );

  test('with Retry-After it rests for that long, and a token renewed meanwhile is used from then on', async () => {
    const resting = new TestClient(database, upstream.url);
    const tokens = new TestTokens('old', 'new');
    upstream.behave(answer(429, {}, { 'retry-after': '1.2' }), answer(503, {}), page);
    const reading = resting.api(tokens).listRecords(base, table, {});
    await until(async () => (await permitsPausedUntil()) !== null);
    await tokens.replacementFor(await tokens.current());
    await expect(reading).resolves.toMatchObject({ records: [record] });
    expect(upstream.received.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer old',
      'Bearer new',
      'Bearer new',
    ]);
    const [first, second] = upstream.received.map(({ at }) => at);
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(1_195);
    await resting.close();
  });

  test('without Retry-After it is the documented penalty, told at once to who cannot wait for it', async () => {
    upstream.behave(answer(429, { error: { type: 'RATE_LIMIT_REACHED' } }), page);
    const startedAt = performance.now();
    await expect(list()).rejects.toMatchObject({
      code: 'UPSTREAM_RATE_LIMITED',
      details: { retryAfterMs: 60_000 },
    });
    await expect(list()).rejects.toMatchObject({ code: 'UPSTREAM_RATE_LIMITED' });
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(upstream.received).toHaveLength(1);
  });

  test('the monthly cap is an error of its own, and nothing rests', async () => {
    upstream.behave(answer(429, { error: { type: 'PUBLIC_API_BILLING_LIMIT_EXCEEDED' } }), page);
    await expect(list()).rejects.toMatchObject({ code: 'UPSTREAM_MONTHLY_LIMIT' });
    await expect(list()).resolves.toMatchObject({ records: [record] });
  });
});

describe('401', () => {
  const refused = answer(401, { error: { type: 'UNAUTHORIZED', message: 'Invalid authentication token' } });

  test('the call goes again with a newer token, even a create', async () => {
    upstream.behave(refused, created);
    const tokens = new TestTokens('old', 'new');
    await expect(client.api(tokens).createRecords(base, table, [{ fields: {} }])).resolves.toMatchObject({
      records: [record],
    });
    expect(upstream.received.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer old',
      'Bearer new',
    ]);
    expect(tokens.refused).toEqual([{ value: 'old', generation: 0 }]);
  });

  test('without a newer token, or when that is refused as well, the connection is not connected', async () => {
    upstream.behave(refused);
    await expect(list()).rejects.toMatchObject({ code: 'CONNECTION_NOT_CONNECTED' });
    expect(upstream.received).toHaveLength(1);
    upstream.behave(refused);
    const tokens = new TestTokens('old', 'new', 'newest');
    await expect(client.api(tokens).whoAmI()).rejects.toMatchObject({ code: 'CONNECTION_NOT_CONNECTED' });
    expect(upstream.received).toHaveLength(2);
  });

  test('an error that quotes the request does not carry the token on', async () => {
    upstream.behave(
      answer(403, { error: { type: 'INVALID_PERMISSIONS', message: `no rights for Bearer ${token}` } }),
    );
    const failure = await list().catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'UPSTREAM_FORBIDDEN',
      message: expect.stringContaining('Bearer ***'),
    });
  });
});

describe('the caller', () => {
  test('the deadline holds against a silent upstream, for a write with the outcome unknown', async () => {
    const patient = new TestClient(database, upstream.url);
    upstream.behave(silence);
    const deadline = systemClock.now() + 300;
    const api = patient.api(token, { deadline });
    const ends = await Promise.allSettled([
      api.listRecords(base, table, {}),
      api.createRecords(base, table, [{ fields: {} }]),
    ]);
    expect(Math.abs(systemClock.now() - deadline)).toBeLessThan(250);
    expect(ends.map((end) => end.status === 'rejected' && (end.reason as unknown))).toMatchObject([
      { code: 'DEADLINE_EXCEEDED' },
      { code: 'DEADLINE_EXCEEDED', details: { outcome: 'unknown' } },
    ]);
    await patient.close();
  });

  test('aborting ends a read at once, and its reason comes back', async () => {
    upstream.behave(silence);
    const leaving = new AbortController();
    const reading = list({ signal: leaving.signal });
    await until(() => upstream.received.length > 0);
    const reason = new Error('closed');
    leaving.abort(reason);
    await expect(reading).rejects.toBe(reason);
  });

  describe.each<[string, (tokens: TestTokens, wait: () => Promise<never>) => void]>([
    ['a token', (tokens, wait) => (tokens.current = wait)],
    ['a newer token', (tokens, wait) => (tokens.replacementFor = wait)],
  ])('waiting for %s', (_, hold) => {
    const held = () => {
      upstream.behave(answer(401, { error: { type: 'UNAUTHORIZED' } }));
      let waits = false;
      const tokens = new TestTokens('old', 'new');
      hold(tokens, () => {
        waits = true;
        return new Promise(() => undefined);
      });
      return { tokens, waits: () => waits };
    };

    test('leaves at the deadline', async () => {
      const deadline = systemClock.now() + 200;
      const reading = client.api(held().tokens, { deadline }).listRecords(base, table, {});
      await expect(reading).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
      expect(systemClock.now() - deadline).toBeLessThan(250);
    });

    test('leaves when it is aborted', async () => {
      const leaving = new AbortController();
      const { tokens, waits } = held();
      const reading = client.api(tokens, { signal: leaving.signal }).listRecords(base, table, {});
      await until(waits);
      const reason = new Error('closed');
      leaving.abort(reason);
      await expect(reading).rejects.toBe(reason);
    });
  });

  test('a write that has left is waited for although the caller has gone', async () => {
    const leaving = new AbortController();
    upstream.behave((response, request) => {
      leaving.abort(new Error('closed'));
      created(response, request);
    });
    const api = client.api(token, { signal: leaving.signal });
    await expect(api.createRecords(base, table, [{ fields: {} }])).resolves.toMatchObject({
      records: [record],
    });
  });

  test('a caller that is capped pays for no further call', async () => {
    upstream.behave(page);
    const meter = new CallMeter(1);
    await list({ meter });
    await expect(list({ meter })).rejects.toMatchObject({
      code: 'UPSTREAM_CALLS_EXCEEDED',
      details: { maxCalls: 1 },
    });
    expect(upstream.received).toHaveLength(1);
  });

  test.each([
    ['whose deadline passes', false],
    ['who aborts', true],
  ])('a caller %s before the connection stands gives its permission back', async (_, aborts) => {
    const mute = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    // Plain TCP where TLS is expected: the connection opens, the handshake never ends.
    const connecting = new TestClient(database, `https://127.0.0.1:${(mute.address() as AddressInfo).port}`);
    const leaving = new AbortController();
    const operation = aborts ? { signal: leaving.signal } : { deadline: systemClock.now() + 150 };
    const reading = connecting.api(token, operation).listRecords(base, table, {});
    const ended = expect(reading).rejects.toThrow();
    await until(async () => (await sendings()) === 1);
    if (aborts) leaving.abort(new Error('closed'));
    await ended;
    await until(async () => (await sendings()) === 0);
    await connecting.close();
    await new Promise((resolve) => mute.close(resolve));
  });
});

describe('closing', () => {
  let closing: TestClient;
  afterEach(() => closing.close());

  test('a call in flight ends, and later ones are refused', async () => {
    closing = new TestClient(database, upstream.url);
    let finish = (): void => undefined;
    upstream.behave((response, request) => {
      finish = () => page(response, request);
    });
    const reading = closing.api(token).listRecords(base, table, {});
    await until(() => upstream.received.length > 0);
    const closed = closing.close();
    finish();
    await expect(reading).resolves.toMatchObject({ records: [record] });
    await closed;
    await expect(closing.api(token).listRecords(base, table, {})).rejects.toMatchObject({
      code: 'SHUTTING_DOWN',
    });
  });
});
