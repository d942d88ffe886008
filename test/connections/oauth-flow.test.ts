import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { authorizationUrl, control, openFlow, startTestApp, walkFlow, type TestApp } from '../support/app.ts';
import { answerConsent } from '../support/sandbox-grant.ts';
import { AnswerLoss } from '../automation/triggers/answer-loss.ts';

const readConnection = `query ($id: Int!) {
  connection(id: $id) {
    state
    availableActions
    problem { code message }
    ... on CalendlyConnection { scopes missingScopes account { id email } accessTokenExpiresAt refreshTokenExpiresAt }
  }
}`;

describe('the OAuth flow', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  async function create(name: string): Promise<number> {
    const { data } = await app.graphql(
      `mutation ($name: String!) { createConnection(input: { type: "calendly", name: $name, clientId: "calendly_client_xyz789", clientSecret: "secret_calendly_abc123" }) { ... on CreateConnectionSuccess { connection { id } } } }`,
      { name },
    );
    return data.createConnection.connection.id as number;
  }
  const read = async (id: number) => (await app.graphql(readConnection, { id })).data.connection;

  test('a granted flow ends on a page that says so, and the connection is connected', async () => {
    const id = await create('Granted');
    const page = await walkFlow(await authorizationUrl(app.graphql, id));
    expect(page.status).toBe(200);
    expect(page.text).toContain('<h1>Connected</h1>');
    expect(page.headers.get('cache-control')).toBe('no-store');
    expect(page.headers.get('referrer-policy')).toBe('no-referrer');
    const connection = await read(id);
    expect(connection).toMatchObject({
      state: 'CONNECTED',
      problem: null,
      missingScopes: [],
      availableActions: ['TEST', 'DISCONNECT'],
    });
    expect(connection.scopes).toContain('webhook:manage');
    expect(connection.account.id).toMatch(/^usr/);
    expect(new Date(connection.accessTokenExpiresAt).getTime() - Date.now()).toBeGreaterThan(59 * 60_000);
  });

  test('a denied flow is told on the page and in the state', async () => {
    const id = await create('Denied');
    const page = await walkFlow(await authorizationUrl(app.graphql, id), undefined, 'deny');
    expect(page.status).toBe(400);
    expect(page.text).toContain('ACCESS_DENIED');
    expect(await read(id)).toMatchObject({
      state: 'ERROR',
      problem: { code: 'ACCESS_DENIED' },
      availableActions: ['UPDATE_CREDENTIALS', 'RECONNECT', 'DISCONNECT'],
    });
  });

  test('a wrong client secret is told as INVALID_CLIENT', async () => {
    const { data } = await app.graphql(
      `mutation { createConnection(input: { type: "calendly", name: "Wrong secret", clientId: "calendly_client_xyz789", clientSecret: "nonsense" }) { ... on CreateConnectionSuccess { connection { id } } } }`,
    );
    const { id } = data.createConnection.connection;
    const page = await walkFlow(await authorizationUrl(app.graphql, id));
    expect(page.text).toContain('INVALID_CLIENT');
    expect(await read(id)).toMatchObject({ state: 'ERROR', problem: { code: 'INVALID_CLIENT' } });
  });

  test('a failed attempt to renew leaves a living grant alone', async () => {
    const id = await app.connect({ name: 'Living' });
    const page = await walkFlow(await authorizationUrl(app.graphql, id), undefined, 'deny');
    expect(page.text).toContain('goes on');
    expect(await read(id)).toMatchObject({ state: 'CONNECTED', problem: null });
  });

  test('the start link opens once', async () => {
    const url = await authorizationUrl(app.graphql, await create('Once'));
    await openFlow(url);
    const again = await fetch(url, { redirect: 'manual' });
    expect(again.status).toBe(404);
    expect(await again.text()).toContain('opened already');
  });

  test('state and cookie must belong together: a code carried into another browser is refused', async () => {
    const id = await create('Carried');
    const { consentUrl } = await openFlow(await authorizationUrl(app.graphql, id));
    const callback = await answerConsent(consentUrl, 'grant');
    for (const cookie of ['', 'omnera_oauth_AAAAAAAA=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA']) {
      const page = await fetch(callback, { headers: { cookie } });
      expect(page.status).toBe(400);
      expect(await page.text()).toContain('OTHER_BROWSER');
    }
    expect((await read(id)).state).toBe('CONFIGURED');
  });

  test('two flows in one browser do not meet', async () => {
    const ids = [await create('First of two'), await create('Second of two')];
    const opened = [];
    for (const id of ids) opened.push(await openFlow(await authorizationUrl(app.graphql, id)));
    const cookie = opened.map((flow) => flow.cookie).join('; ');
    for (const { consentUrl } of opened) {
      const page = await fetch(await answerConsent(consentUrl, 'grant'), { headers: { cookie } });
      expect(page.status).toBe(200);
    }
    for (const id of ids) expect((await read(id)).state).toBe('CONNECTED');
  });

  test('somebody who only checks whether the link is there does not use it up', async () => {
    const url = await authorizationUrl(app.graphql, await create('Checked'));
    expect((await fetch(url, { method: 'HEAD', redirect: 'manual' })).status).toBe(404);
    expect((await openFlow(url)).consentUrl).toContain('/oauth2/v1/authorize');
  });

  test('a forged state is refused and changes nothing', async () => {
    const page = await fetch(`${app.url}/oauth/calendly/callback?code=abc&state=${'f'.repeat(43)}`);
    expect(page.status).toBe(400);
    expect(await page.text()).toContain('UNKNOWN_STATE');
  });

  test('an answer is used once', async () => {
    const id = await create('Replayed');
    const { consentUrl, cookie } = await openFlow(await authorizationUrl(app.graphql, id));
    const callback = await answerConsent(consentUrl, 'grant');
    expect((await fetch(callback, { headers: { cookie } })).status).toBe(200);
    const again = await fetch(callback, { headers: { cookie } });
    expect(again.status).toBe(400);
    expect((await read(id)).state).toBe('CONNECTED');
  });

  test('an answer of an older flow is superseded by a newer one', async () => {
    const id = await create('Overtaken');
    const { consentUrl, cookie } = await openFlow(await authorizationUrl(app.graphql, id));
    const callback = await answerConsent(consentUrl, 'grant');
    await authorizationUrl(app.graphql, id);
    const page = await fetch(callback, { headers: { cookie } });
    expect(page.status).toBe(409);
    expect(await page.text()).toContain('FLOW_SUPERSEDED');
    expect((await read(id)).state).toBe('CONFIGURED');
  });

  test('redirectTo leads back to an allowed origin only', async () => {
    const id = await create('Redirect');
    const begin = (redirectTo: string) =>
      app.graphql(
        `mutation ($input: ConnectConnectionInput!) { connectConnection(input: $input) { __typename ... on Error { message } } }`,
        { input: { connection: id, redirectTo } },
      );
    expect((await begin('https://evil.example/')).data.connectConnection.__typename).toBe(
      'InvalidInputError',
    );
    expect((await begin('javascript:alert(1)')).data.connectConnection.__typename).toBe('InvalidInputError');
    expect((await begin(`${app.url}/settings`)).data.connectConnection.__typename).toBe(
      'ConnectConnectionSuccess',
    );
  });

  test('disconnecting revokes and forgets the tokens', async () => {
    const id = await app.connect({ name: 'Goes' });
    const { data } = await app.graphql(
      `mutation ($id: Int!) { disconnectConnection(input: { connection: $id }) { ... on DisconnectConnectionSuccess { tokensRevoked connection { state availableActions } } ... on Error { message } } }`,
      { id },
    );
    expect(data.disconnectConnection).toEqual({
      tokensRevoked: true,
      connection: { state: 'DISCONNECTED', availableActions: ['RECONNECT'] },
    });
    const [row] = await app.database.query(
      'SELECT access_token, refresh_token FROM connection_secrets WHERE connection_id = $1',
      [id],
    );
    expect(row).toEqual({ access_token: null, refresh_token: null });
    const after = await app.graphql(
      `query ($id: Int!) { base(connection: $id, baseId: "appABC123") { name } }`,
      { id },
    );
    expect(after.errors?.[0]?.extensions.code).toBe('CONNECTION_NOT_CONNECTED');
    await walkFlow(await authorizationUrl(app.graphql, id));
    expect((await read(id)).state).toBe('CONNECTED');
  });

  test('any instance behind one address can open and finish a flow that another one began', async () => {
    const id = await create('Shared');
    const other = await app.another({ publicUrl: app.url });
    /** As a load balancer would send it to an instance. */
    const at = (instance: TestApp, address: string | URL) => {
      const url = new URL(address);
      expect(url.origin).toBe(app.url);
      url.port = new URL(instance.url).port;
      return url.href;
    };
    try {
      for (const [begins, opens, finishes] of [
        [app, other, app],
        [app, app, other],
        [other, other, app],
      ] as const) {
        const link = await authorizationUrl(begins.graphql, id);
        const { consentUrl, cookie } = await openFlow(at(opens, link));
        const callback = at(finishes, await answerConsent(consentUrl, 'grant'));
        const page = await fetch(callback, { headers: { cookie } });
        expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('Connected')]);
        expect((await read(id)).state).toBe('CONNECTED');
        await app.graphql(
          'mutation ($id: Int!) { disconnectConnection(input: { connection: $id }) { __typename } }',
          { id },
        );
      }
    } finally {
      await other.close();
    }
  });

  test('a grant is stored although the database breaks off between the answer and the commit, or loses the answer to it', async () => {
    const loss = await AnswerLoss.before(app.database.url);
    const other = await app.another({ role: 'web', databaseUrl: loss.url });
    await app.database.query(`
      CREATE SEQUENCE breaks;
      CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('breaks') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
        RETURN NEW;
      END $$;
      CREATE TRIGGER break_off BEFORE UPDATE ON connection_secrets FOR EACH ROW EXECUTE FUNCTION break_off()`);
    try {
      for (const what of ['broken off', 'commit unanswered']) {
        const id = await create(`Stored although ${what}`);
        const { consentUrl, cookie } = await openFlow(await authorizationUrl(other.graphql, id));
        const callback = await answerConsent(consentUrl, 'grant');
        if (what === 'commit unanswered') loss.loseNext('COMMIT');
        const page = await fetch(callback, { headers: { cookie } });
        expect([page.status, await page.text()]).toEqual([
          200,
          expect.stringContaining('<h1>Connected</h1>'),
        ]);
        // Who granted is asked once it is stored.
        expect(await read(id)).toMatchObject({
          state: 'CONNECTED',
          account: { id: expect.stringMatching(/^usr/) },
        });
        expect(
          await app.database.query(
            `SELECT outcome FROM audit_entries WHERE connection_id = $1 AND action = 'finishAuthorization'`,
            [id],
          ),
        ).toEqual([{ outcome: 'ok' }]);
        const base = await other.graphql(
          'query ($id: Int!) { base(connection: $id, baseId: "appABC123") { name } }',
          { id },
        );
        expect(base.errors).toBeUndefined();
      }
      const [breaks] = await app.database.query('SELECT last_value > 1 AS broke FROM breaks');
      expect(breaks).toEqual({ broke: true });
      expect(loss.lost).toBe(1);
    } finally {
      await app.database.query('DROP FUNCTION break_off() CASCADE');
      await other.close();
      await loss.close();
    }
  });

  test('an expired access token is refreshed once, however many ask at the same time', async () => {
    const id = await app.connect({ name: 'Refreshed' });
    await control(app.sandbox.url, 'clock', { advanceMs: 3_700_000 });
    await app.database.query(
      `UPDATE connections SET access_token_expires_at = now() - interval '1 minute' WHERE id = $1`,
      [id],
    );
    const before = (await control(app.sandbox.url, 'calls')).byEndpoint.token ?? 0;
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        app.graphql(
          `query ($id: Int!) { connection(id: $id) { ... on CalendlyConnection { bases { nodes { id } } } } }`,
          { id },
        ),
      ),
    );
    for (const answer of answers) expect(answer.errors).toBeUndefined();
    expect((await control(app.sandbox.url, 'calls')).byEndpoint.token - before).toBe(1);
  });

  test('a token that the upstream refuses early is refreshed and the call repeated', async () => {
    const id = await app.connect({ name: 'Early' });
    await control(app.sandbox.url, 'clock', { advanceMs: 3_700_000 });
    const { data, errors } = await app.graphql(
      `query ($id: Int!) { base(connection: $id, baseId: "appABC123") { name } }`,
      { id },
    );
    expect(errors).toBeUndefined();
    expect(data.base.name).toBe('Marketing CRM');
  });

  test('a grant that was revoked upstream puts the connection into the state error', async () => {
    const id = await app.connect({ name: 'Revoked' });
    await control(app.sandbox.url, 'revoke', { clientId: 'calendly_client_xyz789' });
    const { errors } = await app.graphql(
      `query ($id: Int!) { base(connection: $id, baseId: "appABC123") { name } }`,
      { id },
    );
    expect(errors?.[0]?.extensions.code).toBe('CONNECTION_NOT_CONNECTED');
    expect(await read(id)).toMatchObject({ state: 'ERROR', problem: { code: 'INVALID_GRANT' } });
  });
});
