import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createServer, request } from 'node:http';
import { createSandbox, type Sandbox } from '../../../sandbox/sandbox.ts';
import { call, control } from '../../support/sandbox-call.ts';
import { grantToken } from '../../support/sandbox-grant.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await createSandbox({ size: 'small' });
});
afterAll(() => sandbox.close());
beforeEach(() => sandbox.context.reset());

describe('limits', () => {
  test('are told by an empty change, and begin as documented', async () => {
    const limits = await control(sandbox.url, 'POST', 'limits', {});
    expect(limits).toMatchObject({
      requestsPerSecond: 5,
      penaltyMs: 30_000,
      pageCap: 100,
      recordsPerWrite: 10,
      accessTokenLifetimeMs: 3_600_000,
      refreshTokenLifetimeMs: 60 * 86_400_000,
      refreshesPerSecond: 10,
      webhooksPerBase: 10,
      webhooksPerClientAndBase: 2,
      webhookLifetimeMs: 7 * 86_400_000,
      payloadRetentionMs: 7 * 86_400_000,
      retryBaseMs: 10_000,
      retryCount: 13,
      pingTimeoutMs: 25_000,
    });
    expect(await control(sandbox.url, 'GET', 'limits')).toEqual(limits);
  });

  test('act on the next call', async () => {
    await control(sandbox.url, 'POST', 'limits', { accessTokenLifetimeMs: 120_000 });
    expect((await grantToken(sandbox.url)).answer.expires_in).toBe(120);
    await control(sandbox.url, 'POST', 'limits', { latencyMs: 100 });
    const start = performance.now();
    await call(sandbox.url, 'GET', '/v0/meta/whoami');
    expect(performance.now() - start).toBeGreaterThanOrEqual(95);
  });

  test.each([
    [{ speed: 1 }, 'Known: requestsPerSecond, penaltyMs'],
    [{ requestsPerSecond: -1 }, 'requestsPerSecond'],
    [{ requestsPerSecond: '5' }, 'requestsPerSecond'],
    [{ toString: 1 }, 'Unknown limit'],
  ])('%j is refused with 400, and nothing changes', async (change, reason) => {
    const answer = await call(sandbox.url, 'POST', '/_control/limits', { json: { penaltyMs: 1, ...change } });
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body)).toContain(reason);
    expect(await control(sandbox.url, 'GET', 'limits')).toMatchObject({ penaltyMs: 30_000 });
  });
});

describe('switches', () => {
  test('are told by an empty change, the readings of the formula language among them', async () => {
    expect(await control(sandbox.url, 'POST', 'switches', {})).toMatchObject({
      tokenTypeTrailingSpace: false,
      rateLimitBody: 'object',
      revokeEndpoint: true,
      blankEqualsZero: true,
    });
  });

  test('change, and are put back by a reset', async () => {
    await control(sandbox.url, 'POST', 'switches', { blankEqualsZero: false, rateLimitBody: 'array' });
    expect(sandbox.context.settings.switches).toMatchObject({
      blankEqualsZero: false,
      rateLimitBody: 'array',
    });
    await control(sandbox.url, 'POST', 'reset');
    expect(sandbox.context.settings.switches).toMatchObject({
      blankEqualsZero: true,
      rateLimitBody: 'object',
    });
  });

  test.each([
    [{ unheardOf: true }, 'Known: '],
    [{ rateLimitBody: 'html' }, 'must be one of \\"object\\", \\"array\\"'],
    [{ blankEqualsZero: 1 }, 'must be one of true, false'],
  ])('%j is refused with 400 and the known ones', async (change, reason) => {
    const answer = await call(sandbox.url, 'POST', '/_control/switches', { json: change });
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body)).toContain(reason);
  });
});

describe('the clock', () => {
  test('goes forward by advanceMs', async () => {
    const before = sandbox.context.clock.now();
    const { now } = await control<{ now: string }>(sandbox.url, 'POST', 'clock', { advanceMs: 3_600_000 });
    expect(Date.parse(now) - before).toBeGreaterThanOrEqual(3_600_000);
  });

  test.each([{}, { advanceMs: -1 }, { advanceMs: '1' }, { advanceMs: 1e15 }])('refuses %j', async (json) => {
    expect((await call(sandbox.url, 'POST', '/_control/clock', { json })).status).toBe(400);
  });
});

describe('a reset', () => {
  test('puts the first state back and ends every grant', async () => {
    const { accessToken } = await grantToken(sandbox.url);
    await control(sandbox.url, 'POST', 'edits', {
      baseId: 'appABC123',
      tableId: 'tblDEF456',
      create: [{ fields: { Name: 'Extra' } }],
    });
    const count = sandbox.context.records.of('tblDEF456').size;
    await control(sandbox.url, 'POST', 'reset');
    expect(sandbox.context.records.of('tblDEF456').size).toBe(count - 1);
    expect((await call(sandbox.url, 'GET', '/v0/meta/whoami', { token: accessToken })).status).toBe(401);
    expect(await control(sandbox.url, 'GET', 'calls')).toMatchObject({ total: 1 });
  });
});

describe('ledgers', () => {
  test('list changes and writes after a sequence, in order', async () => {
    for (const name of ['A', 'B', 'C']) {
      await control(sandbox.url, 'POST', 'edits', {
        baseId: 'appABC123',
        tableId: 'tblDEF456',
        create: [{ fields: { Name: name } }],
      });
    }
    interface Changes {
      changes: { sequence: number; kind: string }[];
      dropped: number;
    }
    const { changes, dropped } = await control<Changes>(sandbox.url, 'GET', 'changes');
    expect(dropped).toBe(0);
    expect(changes.map(({ kind }) => kind)).toEqual(['created', 'created', 'created']);
    const later = await control<Changes>(sandbox.url, 'GET', `changes?after=${changes[0]?.sequence}&limit=1`);
    expect(later.changes).toEqual([changes[1]]);
  });
});

describe('revoking', () => {
  test.each(['grantId', 'token', 'clientId'] as const)('by %s ends the grant', async (key) => {
    const { accessToken, refreshToken } = await grantToken(sandbox.url);
    const { grants } = await control<{ grants: { id: string; clientId: string }[] }>(
      sandbox.url,
      'GET',
      'grants',
    );
    const values = { grantId: grants[0]?.id, token: refreshToken, clientId: grants[0]?.clientId };
    expect(await control(sandbox.url, 'POST', 'revoke', { [key]: values[key] })).toEqual({ revoked: 1 });
    expect((await call(sandbox.url, 'GET', '/v0/meta/whoami', { token: accessToken })).status).toBe(401);
    expect(await control(sandbox.url, 'GET', 'grants')).toEqual({ grants: [] });
  });

  test.each([{}, { token: 'a', clientId: 'b' }, { user: 'x' }])('refuses %j', async (json) => {
    expect((await call(sandbox.url, 'POST', '/_control/revoke', { json })).status).toBe(400);
  });
});

describe('strangers', () => {
  /** fetch sets these headers itself. */
  function statusWith(path: string, headers: Record<string, string>): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      request(sandbox.url + path, { headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
  }

  test.each([
    ['another host name, as after DNS rebinding', { host: 'evil.example' }, 403],
    ['a page of another origin', { origin: 'http://evil.example' }, 403],
    ['localhost', { host: 'localhost:4001' }, 200],
  ])('control and start page answer %s with %#', async (_case, headers, status) => {
    expect(await statusWith('/_control/issued', headers)).toBe(status);
    expect(await statusWith('/', headers)).toBe(status);
  });

  test('an unknown control route is a 404', async () => {
    expect((await call(sandbox.url, 'GET', '/_control/nonsense')).status).toBe(404);
  });
});

describe('the start page', () => {
  test('names bases, tables, integrations, people and routes, and no secret', async () => {
    const { status, body, headers } = await call(sandbox.url, 'GET', '/');
    expect(status).toBe(200);
    expect(headers.get('content-type')).toContain('text/html');
    for (const text of [
      'appABC123',
      'tblDEF456',
      'calendly_client_xyz789',
      'ada@example.com',
      '/_control/faults',
    ]) {
      expect(body).toContain(text);
    }
    expect(body).not.toContain('secret_calendly_abc123');
  });
});

test('a port that is taken is refused', async () => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
  const address = blocker.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  await expect(createSandbox({ size: 'small', port })).rejects.toThrow('EADDRINUSE');
  await new Promise<void>((resolve) => blocker.close(() => resolve()));
});
