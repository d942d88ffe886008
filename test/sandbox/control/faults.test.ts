import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createSandbox, type Sandbox } from '../../../sandbox/sandbox.ts';
import { call, control } from '../../support/sandbox-call.ts';
import { grantToken } from '../../support/sandbox-grant.ts';

const LIST = '/v0/appABC123/Contacts?maxRecords=1';
const CREATE = '/v0/appABC123/Contacts';

let sandbox: Sandbox;
let token: string;
beforeAll(async () => {
  sandbox = await createSandbox({ size: 'small' });
});
afterAll(() => sandbox.close());
beforeEach(async () => {
  sandbox.context.reset();
  sandbox.context.settings.changeLimits({ requestsPerSecond: 0 });
  token = (await grantToken(sandbox.url)).accessToken;
});

const fault = (input: unknown) => control<{ id: string }>(sandbox.url, 'POST', 'faults', input);
const list = () => call(sandbox.url, 'GET', LIST, { token });
const create = () => call(sandbox.url, 'POST', CREATE, { token, json: { fields: { Name: 'Written' } } });
const writes = async () => (await control<{ writes: unknown[] }>(sandbox.url, 'GET', 'writes')).writes;

async function statuses(count: number): Promise<number[]> {
  const answers: number[] = [];
  for (let i = 0; i < count; i += 1) answers.push((await list()).status);
  return answers;
}

describe('which calls are spoiled', () => {
  test('one, unless told otherwise', async () => {
    await fault({});
    expect(await statuses(3)).toEqual([500, 200, 200]);
  });

  test('the n-th call, by after', async () => {
    await fault({ after: 2, times: 1, status: 503 });
    expect(await statuses(4)).toEqual([200, 200, 503, 200]);
  });

  test('as many as times says, or without end for null', async () => {
    await fault({ times: 2 });
    expect(await statuses(3)).toEqual([500, 500, 200]);
    await fault({ times: null });
    expect(await statuses(3)).toEqual([500, 500, 500]);
  });

  test.each([
    [{ method: 'GET', path: '/v0/appABC123/*' }, 500],
    [{ path: '/v0/**' }, 500],
    [{ path: '/v0/*/Contacts' }, 500],
    [{ path: 'regex:^/v0/app[A-Z]+123/' }, 500],
    [{ method: '*' }, 500],
    [{ method: 'POST' }, 200],
    [{ path: '/v0/*' }, 200],
    [{ path: '/v0/appABC12?/Contacts' }, 200],
    [{ path: 'regex:^/v1/' }, 200],
  ])('those that match %j', async (match, status) => {
    await fault({ match });
    expect((await list()).status).toBe(status);
  });

  test('by the oldest rule that is due, each in its turn', async () => {
    await fault({ status: 502 });
    await fault({ status: 503 });
    expect(await statuses(3)).toEqual([502, 503, 200]);
  });

  test('none after DELETE, of one or of all', async () => {
    const { id } = await fault({ times: null, status: 502 });
    await fault({ times: null, status: 503 });
    await control(sandbox.url, 'DELETE', `faults?id=${id}`);
    expect(await statuses(1)).toEqual([503]);
    await control(sandbox.url, 'DELETE', 'faults');
    expect(await statuses(1)).toEqual([200]);
    expect(await control(sandbox.url, 'GET', 'faults')).toEqual({ faults: [] });
  });

  test('the token endpoint as well, but never control routes', async () => {
    await fault({ times: null, match: { path: '/**' } });
    const answer = await call(sandbox.url, 'POST', '/oauth2/v1/token', { body: '' });
    expect(answer.status).toBe(500);
    expect((await call(sandbox.url, 'GET', '/_control/clock')).status).toBe(200);
  });
});

describe('how calls are spoiled', () => {
  test.each([
    [401, { error: { type: 'UNAUTHORIZED', message: 'Invalid authentication token' } }],
    [404, { error: 'NOT_FOUND' }],
    [429, { error: { type: 'RATE_LIMIT_REACHED', message: 'Rate limit exceeded. Please try again later' } }],
    [500, { error: { type: 'SERVER_ERROR', message: 'Server error' } }],
    [502, expect.stringMatching(/^<html>/)],
    [
      503,
      {
        error: {
          type: 'RETRIABLE_ERROR',
          message:
            'Server encountered an error while processing your request, and it is safe to retry the request',
        },
      },
    ],
  ])('status %i has the body that the upstream gives it', async (status, body) => {
    await fault({ status });
    expect(await list()).toMatchObject({ status, body });
  });

  test('with a body, content type and headers of the caller', async () => {
    await fault({
      status: 503,
      body: '<p>down</p>',
      contentType: 'text/html',
      headers: { 'Retry-After': '7' },
    });
    const { body, headers } = await list();
    expect(body).toBe('<p>down</p>');
    expect(headers.get('content-type')).toBe('text/html');
    expect(headers.get('retry-after')).toBe('7');
  });

  test.each([
    ['before', [0, 0]],
    ['after', [1, 1]],
  ])('effect %s decides whether a write took place', async (effect, [written, counted]) => {
    const { length } = await writes();
    await fault({ match: { method: 'POST' }, status: 500, effect });
    expect((await create()).status).toBe(500);
    expect((await writes()).length - length).toBe(counted);
    const found = await call(
      sandbox.url,
      'GET',
      `${CREATE}?filterByFormula=${encodeURIComponent("{Name}='Written'")}`,
      {
        token,
      },
    );
    expect((found.body as { records: unknown[] }).records).toHaveLength(written ?? -1);
  });

  test('reset breaks the connection off', async () => {
    await fault({ kind: 'reset' });
    await expect(list()).rejects.toThrow();
    expect((await list()).status).toBe(200);
  });

  test('timeout never answers', async () => {
    await fault({ kind: 'timeout' });
    const signal = AbortSignal.timeout(150);
    await expect(fetch(sandbox.url + LIST, { signal })).rejects.toThrow('timeout');
    expect((await list()).status).toBe(200);
  });

  test.each(['before', 'after'])('malformed sends JSON that breaks off, effect %s', async (effect) => {
    await fault({ kind: 'malformed', effect });
    const { status, body, headers } = await list();
    expect(status).toBe(200);
    expect(headers.get('content-type')).toContain('application/json');
    expect(typeof body).toBe('string');
    expect(String(body)).toMatch(/^\{"records":/);
  });

  test('delay answers truly, only later', async () => {
    await fault({ kind: 'delay', effect: 'after', delayMs: 120 });
    const start = performance.now();
    expect((await list()).status).toBe(200);
    expect(performance.now() - start).toBeGreaterThanOrEqual(115);
  });

  test('a delay ends when its fault is deleted', async () => {
    await fault({ kind: 'delay', effect: 'after', delayMs: 60_000, times: null });
    const held = list();
    while (sandbox.context.faults.list()[0]?.applied !== 1) await new Promise(setImmediate);
    await control(sandbox.url, 'DELETE', 'faults');
    expect((await held).status).toBe(200);
  });

  test('a server that closes cuts off calls that hang', async () => {
    const doomed = await createSandbox({ size: 'small' });
    await control(doomed.url, 'POST', 'faults', { kind: 'timeout' });
    const hanging = fetch(doomed.url + LIST);
    const outcome = expect(hanging).rejects.toThrow();
    await new Promise((resolve) => setTimeout(resolve, 30));
    await doomed.close();
    await outcome;
  });
});

test.each([
  [[], 'JSON object'],
  [{ kind: 'explode' }, 'kind must be one of status, timeout, reset, malformed, delay'],
  [{ effect: 'during' }, 'effect'],
  [{ times: -1 }, 'times'],
  [{ after: 0.5 }, 'after'],
  [{ status: 99 }, 'status'],
  [{ delayMs: 1e9 }, 'delayMs'],
  [{ match: { url: '/' } }, 'match.url'],
  [{ match: { path: 'regex:(' } }, 'regular expression'],
  [{ headers: { x: 'a\r\nb' } }, 'headers.x'],
  [{ sometimes: true }, 'Known: match, after, times'],
])('a fault %j is refused with 400 and a reason', async (input, reason) => {
  const { status, body } = await call(sandbox.url, 'POST', '/_control/faults', { json: input });
  expect(status).toBe(400);
  expect(JSON.stringify(body)).toContain(reason);
});
