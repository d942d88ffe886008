import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { answer, ThrowawayUpstream } from '../calendly/throwaway-upstream.ts';
import { CuttableProxy } from '../support/cuttable-proxy.ts';
import { authorizationUrl, control, startTestApp, walkFlow, type TestApp } from '../support/app.ts';
import { grantToken } from '../support/sandbox-grant.ts';
import { create, grant, read, storedSecrets } from './lifecycle.ts';

/** Records are not kept, so that this needs a token each time. */
const readRecords = `query ($id: Int!) {
  base(connection: $id, baseId: "appABC123") { table(id: "tblDEF456") { records(first: 1) { nodes { id } } } }
}`;

const readThrough = (app: TestApp, id: number) => app.graphql(readRecords, { id });
const expireIn = (app: TestApp, id: number) =>
  app.database.query(
    `UPDATE connections SET access_token_expires_at = now() - interval '1 minute' WHERE id = $1`,
    [id],
  );
const tokenFaultAt = (app: TestApp, fault: object) =>
  control(app.sandbox.url, 'faults', { match: { method: 'POST', path: '/oauth2/v1/token' }, ...fault });
const tokenCallsAt = async (app: TestApp): Promise<number> =>
  (await control(app.sandbox.url, 'calls')).byEndpoint.token ?? 0;
/** Every access token that the sandbox issued, in that order. */
const accessTokensAt = async ({ sandbox }: TestApp): Promise<string[]> => {
  const { issued }: { issued: { kind: string; value: string }[] } = await control(sandbox.url, 'issued');
  return issued.filter(({ kind }) => kind === 'accessToken').map(({ value }) => value);
};

/** With an upstream of its own, so that the faults of the other tests do not meet its calls, nor its calls their counts. */
let silent: TestApp;
/** An exchange and a refresh that are never answered: they wait while all other tests run. */
let hanging: {
  flow: number;
  refresh: number;
  page: ReturnType<typeof walkFlow>;
  read: ReturnType<typeof readThrough>;
};
beforeAll(async () => {
  silent = await startTestApp({ config: { role: 'web' } });
  const [flow, refresh] = [await create(silent, 'Hanging exchange'), await silent.connect()];
  const link = await authorizationUrl(silent.graphql, flow);
  await expireIn(silent, refresh);
  await tokenFaultAt(silent, { kind: 'timeout', times: 2 });
  hanging = { flow, refresh, page: walkFlow(link), read: readThrough(silent, refresh) };
  // A run of single tests ends before they do.
  hanging.page.catch(() => undefined);
  hanging.read.catch(() => undefined);
  while ((await control(silent.sandbox.url, 'faults')).faults[0].applied < 2) await delay(5);
  cutOff = await loseDatabase();
});
afterAll(async () => {
  await cutOff.app.close();
  await cutOff.proxy.close();
  await silent.close();
});

/**
 * An instance whose database goes away while it refreshes and while it exchanges a code, and stays away while all other
 * tests run.
 */
let cutOff: {
  app: TestApp;
  proxy: CuttableProxy;
  id: number;
  page: ReturnType<typeof walkFlow>;
  /** Whose flow came to the exchange, and the access token that it got. */
  granted: { id: number; accessToken: string };
};

async function loseDatabase(): Promise<typeof cutOff> {
  const url = new URL(silent.database.url);
  const proxy = await CuttableProxy.before(Number(url.port));
  url.host = new URL(proxy.url).host;
  const away = await silent.another({ role: 'web', databaseUrl: url.href });
  const id = await silent.connect();
  const granting = await create(silent, 'Granted while the database was away');
  const link = await authorizationUrl(away.graphql, granting);
  await expireIn(silent, id);
  await tokenFaultAt(silent, { kind: 'delay', effect: 'after', delayMs: 500, times: 2 });
  const issued = await accessTokensAt(silent);
  const page = walkFlow(link);
  page.catch(() => undefined);
  while ((await accessTokensAt(silent)).length === issued.length) await delay(5);
  readThrough(away, id).catch(() => undefined);
  while ((await accessTokensAt(silent)).length === issued.length + 1) await delay(5);
  proxy.cut();
  const accessToken = (await accessTokensAt(silent))[issued.length] ?? '';
  return { app: away, proxy, id, page, granted: { id: granting, accessToken } };
}

/* What the token endpoint may answer, beside the plain refusals in states.test.ts and problems.test.ts. */
describe('the token endpoint', () => {
  let app: TestApp;
  beforeAll(async () => {
    // No renewals ahead of time: the requests of the tests are to meet the expired token.
    app = await startTestApp({ config: { role: 'web' } });
  });
  beforeEach(() => fetch(`${app.sandbox.url}/_control/faults`, { method: 'DELETE' }));
  afterAll(() => app.close());

  const readOnce = (id: number, instance = app) => readThrough(instance, id);
  const expire = (id: number) => expireIn(app, id);
  const tokenFault = (fault: object) => tokenFaultAt(app, fault);
  const tokenCalls = () => tokenCallsAt(app);
  /** A token that the upstream takes, in an answer of the token endpoint that lacks something. */
  const bareAnswer = async () => ({
    access_token: (await grantToken(app.sandbox.url)).accessToken,
    token_type: 'Bearer',
  });

  test('an exchange without a refresh token connects; when the token ends, so does the grant', async () => {
    const id = await create(app, 'No refresh token');
    await tokenFault({ status: 200, body: { ...(await bareAnswer()), expires_in: 3_600 }, times: 1 });
    await grant(app, id);
    expect(await read(app, id)).toMatchObject({ state: 'CONNECTED', problem: null });
    expect((await storedSecrets(app, id)).refresh_token).toBeNull();
    expect((await readOnce(id)).errors).toBeUndefined();
    const before = await tokenCalls();
    await expire(id);
    expect((await readOnce(id)).errors?.[0]?.extensions.code).toBe('CONNECTION_NOT_CONNECTED');
    expect(await read(app, id)).toMatchObject({ state: 'ERROR', problem: { code: 'INVALID_GRANT' } });
    expect(await tokenCalls()).toBe(before);
  });

  test('a refresh without a refresh token leaves the stored one in force', async () => {
    const id = await app.connect({ name: 'Keeps its refresh token' });
    const { refresh_token: kept } = await storedSecrets(app, id);
    await tokenFault({ status: 200, body: await bareAnswer(), times: 1 });
    await expire(id);
    expect((await readOnce(id)).errors).toBeUndefined();
    expect((await storedSecrets(app, id)).refresh_token).toBe(kept);
    const shown = await read(app, id);
    expect(shown.state).toBe('CONNECTED');
    // Without a life time an hour is taken, and without scopes those that were granted.
    expect(Date.parse(shown.accessTokenExpiresAt) - Date.now()).toBeGreaterThan(59 * 60_000);
    expect(shown.scopes).toContain('data.records:read');
    await expire(id);
    expect((await readOnce(id)).errors).toBeUndefined();
    expect((await storedSecrets(app, id)).refresh_token).not.toBe(kept);
  });

  test('409: one further call, which works', async () => {
    const id = await app.connect({ name: 'Conflict' });
    await tokenFault({ status: 409, times: 1 });
    const before = await tokenCalls();
    await expire(id);
    expect((await readOnce(id)).errors).toBeUndefined();
    expect(await tokenCalls()).toBe(before + 2);
    expect((await read(app, id)).state).toBe('CONNECTED');
  });

  test('409 twice: somebody else has the newer pair, which is named REFRESH_LOST, without a third call', async () => {
    const id = await app.connect({ name: 'Conflicts' });
    await tokenFault({ status: 409, times: 9 });
    const before = await tokenCalls();
    await expire(id);
    for (let request = 0; request < 3; request += 1)
      expect((await readOnce(id)).errors?.[0]?.extensions.code).toBe('CONNECTION_NOT_CONNECTED');
    expect(await tokenCalls()).toBe(before + 2);
    expect(await read(app, id)).toMatchObject({ state: 'ERROR', problem: { code: 'REFRESH_LOST' } });
  });

  test('invalid_grant: one call, then the state ERROR, and no further call whoever asks', async () => {
    const id = await app.connect({ name: 'Refused' });
    await tokenFault({ status: 400, body: { error: 'invalid_grant' }, times: 9 });
    const before = await tokenCalls();
    await expire(id);
    await Promise.all(Array.from({ length: 10 }, () => readOnce(id)));
    await readOnce(id);
    expect(await tokenCalls()).toBe(before + 1);
    expect(await read(app, id)).toMatchObject({ state: 'ERROR', problem: { code: 'INVALID_GRANT' } });
  });

  test('invalid_grant while another instance has stored a newer pair: that one is used', async () => {
    const id = await app.connect({ name: 'Overtaken' });
    const other = await app.another();
    try {
      await tokenFault({ status: 400, body: { error: 'invalid_grant' }, delayMs: 400, times: 1 });
      const before = await tokenCalls();
      await expire(id);
      const refused = readOnce(id);
      while ((await tokenCalls()) === before) await delay(5);
      // As if the first instance had slept through its lease.
      await app.database.query(
        `UPDATE connections SET refresh_lease_until = now() - interval '1 s' WHERE id = $1`,
        [id],
      );
      expect((await readOnce(id, other)).errors).toBeUndefined();
      expect((await refused).errors).toBeUndefined();
      expect(await tokenCalls()).toBe(before + 2);
      expect(await read(app, id)).toMatchObject({ state: 'CONNECTED', problem: null });
    } finally {
      await other.close();
    }
  });

  test.each([
    ['429, which surely had no effect', 3, { status: 429 }],
    ['500', 2, { status: 500 }],
    ['503 in HTML', 2, { status: 503, body: '<h1>Down</h1>' }],
    ['a broken connection', 2, { kind: 'reset' }],
    ['half an answer', 2, { kind: 'malformed' }],
  ])('%s: %i calls at most, and the connection stays CONNECTED', async (what, most, fault) => {
    const id = await app.connect({ name: what });
    await tokenFault({ times: 99, ...fault });
    const before = await tokenCalls();
    await expire(id);
    const answers = await Promise.all(Array.from({ length: 10 }, () => readOnce(id)));
    for (const { errors } of answers) expect(errors?.[0]?.extensions.code).toBe('UPSTREAM_UNAVAILABLE');
    expect(await tokenCalls()).toBe(before + most);
    expect(await read(app, id)).toMatchObject({ state: 'CONNECTED', problem: null });
    await fetch(`${app.sandbox.url}/_control/faults`, { method: 'DELETE' });
    expect((await readOnce(id)).errors).toBeUndefined();
  });

  test('calls are repeated after pauses that chance decides, so that many clients do not come in step', async () => {
    const provider = await new ThrowawayUpstream().start();
    provider.behave(answer(429, {}));
    const other = await app.another({ upstream: { apiUrl: app.sandbox.url, oauthUrl: provider.url } });
    try {
      const ids = [await app.connect(), await app.connect(), await app.connect(), await app.connect()];
      for (const id of ids) await expire(id);
      await Promise.all(ids.map((id) => readOnce(id, other)));
      // Each connection sends a refresh token of its own.
      const bodies = new Set(provider.received.map(({ body }) => body));
      expect(bodies.size).toBe(ids.length);
      const pauses = [...bodies].map((own) => {
        const calls = provider.received.filter(({ body }) => body === own);
        return calls.slice(1).map(({ at }, index) => at - calls[index]!.at);
      });
      for (const ownPauses of pauses) expect(ownPauses).toHaveLength(2);
      // The first pause is up to 0.4 s, the second up to 0.8 s; all within a few milliseconds would be no chance.
      const all = pauses.flat();
      expect(Math.max(...all)).toBeLessThan(2_000);
      expect(Math.max(...all) - Math.min(...all)).toBeGreaterThan(30);
    } finally {
      await other.close();
      await provider.close();
    }
  });
});

describe.each([
  ['ahead of', 2],
  ['behind', -2],
])('a server whose clock is two hours %s the provider’s', (_how, hours) => {
  let driftMs = hours * 3_600_000;
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ clock: { now: () => Date.now() + driftMs } });
  });
  afterAll(() => app.close());

  test('connects, reads for as long as a token lives, and renews it once, early or late', async () => {
    const tokenCalls = async (): Promise<number> =>
      (await control(app.sandbox.url, 'calls')).byEndpoint.token;
    const id = await app.connect({ name: 'Skewed' });
    const expiresAt = Date.parse((await read(app, id)).accessTokenExpiresAt);
    expect(Math.round((expiresAt - Date.now() - driftMs) / 60_000)).toBe(60);
    for (let request = 0; request < 3; request += 1)
      expect((await app.graphql(readRecords, { id })).errors).toBeUndefined();
    expect(await tokenCalls()).toBe(1);

    // The provider's time runs ahead: it refuses a token that we take for fresh.
    await control(app.sandbox.url, 'clock', { advanceMs: 61 * 60_000 });
    for (let request = 0; request < 3; request += 1)
      expect((await app.graphql(readRecords, { id })).errors).toBeUndefined();
    expect(await tokenCalls()).toBe(2);

    // Ours runs ahead: we take a token for ended that the provider would still accept.
    driftMs += 61 * 60_000;
    for (let request = 0; request < 3; request += 1)
      expect((await app.graphql(readRecords, { id })).errors).toBeUndefined();
    expect(await tokenCalls()).toBe(3);
    expect(await read(app, id)).toMatchObject({ state: 'CONNECTED', problem: null });
  });
});

test('an endpoint that never answers: given up after 15 seconds, and asked once more; nobody else had to wait', async () => {
  const page = await hanging.page;
  expect(page.text).toContain('PROVIDER_UNAVAILABLE');
  expect(await read(silent, hanging.flow)).toMatchObject({
    state: 'ERROR',
    problem: { code: 'PROVIDER_UNAVAILABLE' },
  });
  expect((await hanging.read).errors).toBeUndefined();
  expect(await read(silent, hanging.refresh)).toMatchObject({ state: 'CONNECTED', problem: null });
});

test('a grant that the database did not take for ten seconds is given back, and the page says so', async () => {
  const { page, granted } = cutOff;
  const { status, text } = await page;
  expect(status).toBe(503);
  expect(text).toContain('could not be stored');
  expect(text).toContain('connectConnection');
  expect((await read(silent, granted.id)).state).toBe('CONFIGURED');
  const asked = await fetch(`${silent.sandbox.url}/v0/meta/whoami`, {
    headers: { authorization: `Bearer ${granted.accessToken}` },
  });
  expect(asked.status).toBe(401);
});

test('a pair that came while the database was away is stored once it is back, however long that took', async () => {
  const { app, proxy, id } = cutOff;
  const generation = async () => {
    const [row] = await silent.database.query(
      'SELECT token_generation AS at FROM connections WHERE id = $1',
      [id],
    );
    return Number(row?.['at']);
  };
  const before = await generation();
  proxy.restore();
  while ((await generation()) === before) await delay(20);
  expect((await readThrough(app, id)).errors).toBeUndefined();
  expect(await read(silent, id)).toMatchObject({ state: 'CONNECTED', problem: null });
  expect(await generation()).toBe(before + 1);
});
