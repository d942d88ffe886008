import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { authorizationUrl, control, openFlow, startTestApp, type TestApp } from '../support/app.ts';
import { answerConsent, TEST_CLIENT } from '../support/sandbox-grant.ts';
import { create, deny, grant, read, run, storedSecrets } from './lifecycle.ts';

type State = 'CONFIGURED' | 'CONNECTED' | 'DISCONNECTED' | 'ERROR';

/* Each row of the table of states: from, event, to. What offers which actions stands beside it. */
describe('states of a connection', () => {
  let app: TestApp;
  let count = 0;
  beforeAll(async () => {
    app = await startTestApp();
  });
  beforeEach(async () => {
    await fetch(`${app.sandbox.url}/_control/faults`, { method: 'DELETE' });
  });
  afterAll(() => app.close());

  const reach: Record<State, () => Promise<number>> = {
    CONFIGURED: () => create(app, `Configured ${(count += 1)}`),
    CONNECTED: () => app.connect({ name: `Connected ${(count += 1)}` }),
    DISCONNECTED: async () => {
      const id = await reach.CONNECTED();
      await run(app, 'disconnectConnection', id);
      return id;
    },
    ERROR: async () => {
      const id = await reach.CONFIGURED();
      await deny(app, id);
      return id;
    },
  };
  const states = Object.keys(reach) as State[];
  /** Records, since the name of a base may be answered from memory. */
  const query = (id: number) =>
    app.graphql(
      'query ($id: Int!) { base(connection: $id, baseId: "appABC123") { table(id: "tblDEF456") { records(first: 1) { nodes { id } } } } }',
      { id },
    );
  /** Lets the access token run out, so that the next call refreshes it. */
  const expire = (id: number) =>
    app.database.query(
      `UPDATE connections SET access_token_expires_at = now() - interval '1 minute' WHERE id = $1`,
      [id],
    );

  test.each([
    ['CONFIGURED', ['CONNECT']],
    ['CONNECTED', ['TEST', 'DISCONNECT']],
    ['DISCONNECTED', ['RECONNECT']],
    ['ERROR', ['UPDATE_CREDENTIALS', 'RECONNECT', 'DISCONNECT']],
  ] as const)('%s offers %j', async (state, availableActions) => {
    expect(await read(app, await reach[state]())).toMatchObject({ state, availableActions });
  });

  test.each(states)('%s, OAuth completed: CONNECTED', async (state) => {
    const id = await reach[state]();
    await grant(app, id);
    expect(await read(app, id)).toMatchObject({ state: 'CONNECTED', problem: null });
    expect((await query(id)).errors).toBeUndefined();
  });

  test.each([
    ['CONFIGURED', 'ERROR'],
    ['DISCONNECTED', 'ERROR'],
    ['ERROR', 'ERROR'],
    ['CONNECTED', 'CONNECTED'],
  ] as const)('%s, OAuth denied: %s', async (from, to) => {
    const id = await reach[from]();
    await deny(app, id);
    expect(await read(app, id)).toMatchObject({
      state: to,
      problem: to === 'ERROR' ? { code: 'ACCESS_DENIED' } : null,
    });
  });

  test.each([
    ['CONFIGURED', 'ERROR'],
    ['DISCONNECTED', 'ERROR'],
    ['ERROR', 'ERROR'],
    ['CONNECTED', 'CONNECTED'],
  ] as const)('%s, OAuth failed at the exchange: %s', async (from, to) => {
    const id = await reach[from]();
    const before = await storedSecrets(app, id);
    const { consentUrl, cookie } = await openFlow(await authorizationUrl(app.graphql, id));
    const callback = await answerConsent(consentUrl, 'grant');
    callback.searchParams.set('code', 'nonsense');
    const page = await fetch(callback, { headers: { cookie } });
    expect([page.status, await page.text()]).toEqual([400, expect.stringContaining('INVALID_GRANT')]);
    expect(await read(app, id)).toMatchObject({
      state: to,
      problem: to === 'ERROR' ? { code: 'INVALID_GRANT' } : null,
    });
    expect(await storedSecrets(app, id)).toEqual(before);
    if (to === 'CONNECTED') expect((await query(id)).errors).toBeUndefined();
  });

  test('CONNECTED, grant revoked upstream: ERROR with INVALID_GRANT', async () => {
    const id = await reach.CONNECTED();
    await control(app.sandbox.url, 'revoke', { clientId: TEST_CLIENT.clientId });
    await query(id);
    expect(await read(app, id)).toMatchObject({ state: 'ERROR', problem: { code: 'INVALID_GRANT' } });
  });

  test('CONNECTED, client refused at a refresh: ERROR with INVALID_CLIENT', async () => {
    const id = await reach.CONNECTED();
    await control(app.sandbox.url, 'faults', {
      match: { method: 'POST', path: '/oauth2/v1/token' },
      status: 401,
      body: { error: 'invalid_client' },
    });
    await expire(id);
    await query(id);
    expect(await read(app, id)).toMatchObject({ state: 'ERROR', problem: { code: 'INVALID_CLIENT' } });
  });

  test('CONNECTED, the answer of a refresh is lost: ERROR with REFRESH_LOST', async () => {
    const id = await reach.CONNECTED();
    await control(app.sandbox.url, 'faults', {
      match: { method: 'POST', path: '/oauth2/v1/token' },
      kind: 'reset',
      effect: 'after',
      times: 1,
    });
    await expire(id);
    await query(id);
    expect(await read(app, id)).toMatchObject({ state: 'ERROR', problem: { code: 'REFRESH_LOST' } });
  });

  test.each(['client_secret', 'access_token', 'refresh_token'])(
    'CONNECTED, its %s can not be decrypted: ERROR with SECRET_UNREADABLE, and its neighbours go on',
    async (column) => {
      const [id, neighbour] = [await reach.CONNECTED(), await reach.CONNECTED()];
      await app.database.query(
        `UPDATE connection_secrets SET ${column} = 'v1.gone.AAAA.AAAA' WHERE connection_id = $1`,
        [id],
      );
      if (column !== 'access_token') await expire(id);
      await query(id);
      expect(await read(app, id)).toMatchObject({ state: 'ERROR', problem: { code: 'SECRET_UNREADABLE' } });
      expect((await query(neighbour)).errors).toBeUndefined();
    },
  );

  test('CONNECTED, upstream unreachable: stays CONNECTED, and the test says so', async () => {
    const id = await reach.CONNECTED();
    await control(app.sandbox.url, 'faults', { match: { path: '/oauth2/v1/token' }, status: 503, times: 20 });
    await expire(id);
    const result = await run(app, 'testConnection', id);
    expect(result).toMatchObject({
      works: false,
      problem: { code: 'PROVIDER_UNAVAILABLE' },
      connection: { state: 'CONNECTED', problem: null },
    });
  });

  test.each([
    ['CONNECTED', 'DISCONNECTED'],
    ['ERROR', 'DISCONNECTED'],
  ] as const)('%s, disconnected: %s', async (from, to) => {
    const id = await reach[from]();
    const { connection } = await run(app, 'disconnectConnection', id);
    expect(connection).toMatchObject({ state: to, problem: null, scopes: [] });
    expect(await storedSecrets(app, id)).toMatchObject({ access_token: null, refresh_token: null });
  });

  test('a disconnect that other credentials have overtaken leaves it CONFIGURED', async () => {
    const id = await reach.CONNECTED();
    const revoked = async () => (await control(app.sandbox.url, 'calls')).byEndpoint.revoke ?? 0;
    const before = await revoked();
    await control(app.sandbox.url, 'faults', {
      match: { path: '/oauth2/v1/revoke' },
      kind: 'delay',
      times: 4,
      delayMs: 200,
    });
    const updating = run(app, 'updateConnection', id, { clientSecret: 'another' });
    while ((await revoked()) === before) await delay(5);
    await Promise.all([updating, run(app, 'disconnectConnection', id)]);
    expect((await read(app, id)).state).toBe('CONFIGURED');
  });

  test.each(['CONFIGURED', 'DISCONNECTED'] as const)('%s has nothing to disconnect', async (state) => {
    const id = await reach[state]();
    expect(await run(app, 'disconnectConnection', id)).toMatchObject({ code: 'CONNECTION_NOT_CONNECTED' });
    expect((await read(app, id)).state).toBe(state);
  });

  test.each(states)('%s, client secret changed: CONFIGURED', async (state) => {
    const id = await reach[state]();
    const { connection } = await run(app, 'updateConnection', id, { clientSecret: 'another' });
    expect(connection).toMatchObject({ state: 'CONFIGURED', problem: null });
    expect(await storedSecrets(app, id)).toMatchObject({ access_token: null, refresh_token: null });
  });

  test.each(states)('%s, client id changed: CONFIGURED', async (state) => {
    const id = await reach[state]();
    const { connection } = await run(app, 'updateConnection', id, { clientId: 'another_client' });
    expect(connection).toMatchObject({ state: 'CONFIGURED', clientId: 'another_client' });
  });

  test.each([
    ['disconnected', 'DISCONNECTED', (id: number) => run(app, 'disconnectConnection', id)],
    [
      'given another secret',
      'CONFIGURED',
      (id: number) => run(app, 'updateConnection', id, { clientSecret: 'x' }),
    ],
    ['asked to connect again', 'CONNECTED', (id: number) => authorizationUrl(app.graphql, id)],
  ] as const)('an answer from before it was %s is FLOW_SUPERSEDED', async (_what, state, overtake) => {
    const id = await reach.CONNECTED();
    const { consentUrl, cookie } = await openFlow(await authorizationUrl(app.graphql, id));
    const callback = await answerConsent(consentUrl, 'grant');
    await overtake(id);
    const page = await fetch(callback, { headers: { cookie } });
    expect(page.status).toBe(409);
    expect(await page.text()).toContain('FLOW_SUPERSEDED');
    expect((await read(app, id)).state).toBe(state);
  });

  test.each([
    ['disconnected', 'DISCONNECTED', (id: number) => run(app, 'disconnectConnection', id)],
    [
      'given another secret',
      'CONFIGURED',
      (id: number) => run(app, 'updateConnection', id, { clientSecret: 'x' }),
    ],
    ['asked to connect again', 'CONNECTED', (id: number) => authorizationUrl(app.graphql, id)],
    ['deleted', undefined, (id: number) => run(app, 'deleteConnection', id)],
  ] as const)(
    'a pair that arrives after the connection was %s is revoked and not stored',
    async (_what, state, overtake) => {
      const id = await reach.CONNECTED();
      const { consentUrl, cookie } = await openFlow(await authorizationUrl(app.graphql, id));
      const callback = await answerConsent(consentUrl, 'grant');
      const calls = async () => (await control(app.sandbox.url, 'calls')).byEndpoint;
      const before = await calls();
      await control(app.sandbox.url, 'faults', {
        match: { method: 'POST', path: '/oauth2/v1/token' },
        kind: 'delay',
        effect: 'after',
        delayMs: 60_000,
        times: 1,
      });
      const finishing = fetch(callback, { headers: { cookie } });
      while ((await calls()).token === before.token) await delay(5);
      await overtake(id);
      // Only now is the pair on its way.
      app.sandbox.context.faults.clear();
      const revoked = (await calls()).revoke ?? 0;
      const secrets = await storedSecrets(app, id);

      const page = await finishing;
      expect([page.status, await page.text()]).toEqual([409, expect.stringContaining('FLOW_SUPERSEDED')]);
      expect((await calls()).revoke).toBe(revoked + 2);
      expect((await read(app, id))?.state).toBe(state);
      expect(await storedSecrets(app, id)).toEqual(secrets);
      if (state === 'CONNECTED') expect((await query(id)).errors).toBeUndefined();
    },
  );

  test('an answer that arrives after the connection was deleted changes nothing', async () => {
    const id = await reach.CONFIGURED();
    const { consentUrl, cookie } = await openFlow(await authorizationUrl(app.graphql, id));
    const callback = await answerConsent(consentUrl, 'grant');
    await run(app, 'deleteConnection', id);
    const page = await fetch(callback, { headers: { cookie } });
    expect([page.status, await page.text()]).toEqual([400, expect.stringContaining('UNKNOWN_STATE')]);
    expect(await read(app, id)).toBeNull();
  });

  test('disconnecting forgets the tokens in any case, and says what the upstream did not confirm', async () => {
    const others = await app.database.query(`SELECT id FROM connections WHERE state = 'connected'`);
    for (const { id } of others) await run(app, 'disconnectConnection', id as number);
    const id = await reach.CONNECTED();
    await app.graphql(
      'mutation ($id: Int!) { createWebhook(input: { connection: $id, baseId: "appABC123" }) { __typename } }',
      { id },
    );
    await control(app.sandbox.url, 'faults', { match: { path: '/oauth2/v1/revoke' }, status: 500, times: 9 });
    await control(app.sandbox.url, 'faults', {
      match: { method: 'DELETE', path: '/v0/bases/*/webhooks/*' },
      status: 403,
      times: 9,
    });
    expect(await run(app, 'disconnectConnection', id)).toMatchObject({
      tokensRevoked: false,
      webhooksDeleted: 0,
      webhooksFailed: 1,
      connection: { state: 'DISCONNECTED' },
    });
    expect(await storedSecrets(app, id)).toMatchObject({ access_token: null, refresh_token: null });
  });

  test.each([
    ['CONFIGURED', null],
    ['CONNECTED', true],
    ['DISCONNECTED', null],
    ['ERROR', null],
  ] as const)('%s, deleted: gone, with every envelope', async (state, tokensRevoked) => {
    const id = await reach[state]();
    await authorizationUrl(app.graphql, id);
    const { name } = await read(app, id);
    expect(await run(app, 'deleteConnection', id)).toEqual({
      __typename: 'DeleteConnectionSuccess',
      connectionId: id,
      name,
      tokensRevoked,
      webhooksDeleted: 0,
      webhooksFailed: 0,
    });
    expect(await read(app, id)).toBeNull();
    for (const table of ['connection_secrets', 'authorization_flows']) {
      expect(await app.database.query(`SELECT 1 FROM ${table} WHERE connection_id = $1`, [id])).toEqual([]);
    }
    expect(await run(app, 'deleteConnection', id)).toMatchObject({ code: 'CONNECTION_NOT_FOUND' });
    expect(await create(app, name)).toBeGreaterThan(id);
  });

  test('deletion says what the upstream did not confirm, and erases all the same', async () => {
    await control(app.sandbox.url, 'faults', { match: { path: '/oauth2/v1/revoke' }, status: 500 });
    const id = await reach.CONNECTED();
    expect(await run(app, 'deleteConnection', id)).toMatchObject({ tokensRevoked: false });
    expect(await storedSecrets(app, id)).toBeUndefined();
  });

  test('deletion deletes the webhooks upstream first', async () => {
    const others = await app.database.query(`SELECT id FROM connections WHERE state = 'connected'`);
    for (const { id } of others) await run(app, 'disconnectConnection', id as number);
    const id = await reach.CONNECTED();
    const created = await app.graphql(
      'mutation ($id: Int!) { createWebhook(input: { connection: $id, baseId: "appABC123" }) { __typename } }',
      { id },
    );
    expect(created.data.createWebhook.__typename).toBe('CreateWebhookSuccess');
    expect(await run(app, 'deleteConnection', id)).toMatchObject({
      tokensRevoked: true,
      webhooksDeleted: 1,
      webhooksFailed: 0,
    });
    expect(await app.database.query('SELECT 1 FROM webhooks WHERE mac_secret_envelope IS NOT NULL')).toEqual(
      [],
    );
  });
});
