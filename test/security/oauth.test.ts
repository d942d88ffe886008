import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { answer, ThrowawayUpstream } from '../calendly/throwaway-upstream.ts';
import { create, grant, read, run } from '../connections/lifecycle.ts';
import {
  authorizationUrl,
  control,
  openFlow,
  startTestApp,
  walkFlow,
  type TestApp,
  type UntypedData,
} from '../support/app.ts';
import { answerConsent, TEST_CLIENT } from '../support/sandbox-grant.ts';

const minuteMs = 60_000;

/* What an attacker would try on a flow, line by line. More of it stands in test/connections/oauth-flow.test.ts. */
describe('an OAuth flow', () => {
  let aheadMs = 0;
  let count = 0;
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ clock: { now: () => Date.now() + aheadMs } });
  });
  afterAll(() => app.close());

  const fresh = () => create(app, `Flow ${(count += 1)}`);
  const opened = async (id: number) => openFlow(await authorizationUrl(app.graphql, id));
  const consented = async (id: number) => {
    const { consentUrl, cookie } = await opened(id);
    return { consentUrl, cookie, callback: await answerConsent(consentUrl, 'grant') };
  };
  const bring = async (callback: URL | string, cookie: string) => {
    const page = await fetch(callback, { headers: { cookie }, redirect: 'manual' });
    return { status: page.status, text: await page.text(), headers: page.headers };
  };
  const flowOf = async (id: number): Promise<UntypedData> =>
    (
      await app.database.query(
        'SELECT * FROM authorization_flows WHERE connection_id = $1 ORDER BY created_at DESC LIMIT 1',
        [id],
      )
    )[0];
  const sha256 = (text: string) => createHash('sha256').update(text).digest();

  test('has PKCE with S256 each time, the first as every later one, and each with a challenge of its own', async () => {
    const challenges = new Set<string>();
    const id = await fresh();
    for (let flow = 0; flow < 3; flow += 1) {
      const { searchParams } = new URL((await opened(id)).consentUrl);
      expect(searchParams.get('code_challenge_method')).toBe('S256');
      expect(searchParams.get('code_challenge')).toMatch(/^[A-Za-z0-9_-]{43}$/);
      challenges.add(searchParams.get('code_challenge')!);
      await grant(app, id);
    }
    expect(challenges.size).toBe(3);
  });

  test('proves to the provider that it began: a code with the challenge of another flow is of no use', async () => {
    const [id, other] = [await fresh(), await fresh()];
    const [own, foreign] = [await consented(id), await consented(other)];
    own.callback.searchParams.set('code', foreign.callback.searchParams.get('code')!);
    expect((await bring(own.callback, own.cookie)).text).toContain('INVALID_GRANT');
    expect((await read(app, id)).state).toBe('ERROR');
  });

  test('has 256 random bits in link, state and cookie, of which the database has the hashes alone', async () => {
    const id = await fresh();
    const link = await authorizationUrl(app.graphql, id);
    const { consentUrl, cookie } = await openFlow(link);
    const token = link.slice(link.lastIndexOf('/') + 1);
    const state = new URL(consentUrl).searchParams.get('state')!;
    const value = cookie.slice(cookie.indexOf('=') + 1);
    for (const secret of [token, state, value]) expect(Buffer.from(secret, 'base64url')).toHaveLength(32);
    expect(new Set([token, state, value]).size).toBe(3);

    const flow = await flowOf(id);
    expect(flow.start_token_hash).toEqual(sha256(token));
    expect(flow.state_hash).toEqual(sha256(state));
    expect(flow.browser_hash).toEqual(sha256(value));
    expect(flow.verifier_envelope).toMatch(/^v1\.test\./);
    const [{ row }] = (await app.database.query(
      'SELECT t::text AS row FROM authorization_flows t WHERE id = $1',
      [flow.id],
    )) as [{ row: string }];
    for (const secret of [token, state, value]) {
      expect(row).not.toContain(secret);
      expect(row).not.toContain(Buffer.from(secret).toString('hex'));
      expect(row).not.toContain(Buffer.from(secret, 'base64url').toString('hex'));
    }
  });

  test('forgets its verifier with the answer', async () => {
    const id = await fresh();
    await walkFlow(await authorizationUrl(app.graphql, id), undefined, 'deny');
    expect((await flowOf(id)).verifier_envelope).toBeNull();
  });

  test('is over after ten minutes: a second before, link and answer are good, a second after they are not', async () => {
    const moments: [number, boolean][] = [
      [10 * minuteMs - 1_000, true],
      [10 * minuteMs + 1_000, false],
    ];
    for (const [afterMs, isGood] of moments) {
      const [toOpen, toFinish] = [await fresh(), await fresh()];
      const link = await authorizationUrl(app.graphql, toOpen);
      const { callback, cookie } = await consented(toFinish);
      const startedAt = aheadMs;
      aheadMs = startedAt + afterMs;
      const open = await fetch(link, { redirect: 'manual' });
      const finish = await bring(callback, cookie);
      expect([open.status, finish.status]).toEqual(isGood ? [303, 200] : [404, 400]);
      if (!isGood) expect(finish.text).toContain('UNKNOWN_STATE');
      expect((await read(app, toFinish)).state).toBe(isGood ? 'CONNECTED' : 'CONFIGURED');
      aheadMs = startedAt;
    }
  });

  test.each<[string, (keyId: number, connection: number) => Promise<unknown>]>([
    [
      'was revoked',
      (keyId) => app.database.query('UPDATE api_keys SET revoked_at = now() WHERE id = $1', [keyId]),
    ],
    [
      'is no admin any more',
      (keyId) => app.database.query(`UPDATE api_keys SET role = 'editor' WHERE id = $1`, [keyId]),
    ],
    [
      'does not reach the connection any more',
      (keyId, connection) =>
        app.database.query('UPDATE api_keys SET connection_ids = ARRAY[$2::integer] WHERE id = $1', [
          keyId,
          connection + 1,
        ]),
    ],
  ])('belongs to the key that began it: nothing is granted when that %s meanwhile', async (how, change) => {
    const id = await fresh();
    const { key, apiKey } = await app.app.keys.issue({
      name: how,
      role: 'admin',
      connectionIds: null,
      baseIds: null,
      expiresAt: null,
    });
    const link = await authorizationUrl(
      (document, variables) => app.graphql(document, variables, { key }),
      id,
    );
    const { consentUrl, cookie } = await openFlow(link);
    const callback = await answerConsent(consentUrl, 'grant');
    await change(apiKey.id, id);
    const before = (await control(app.sandbox.url, 'calls')).byEndpoint.token;
    const page = await bring(callback, cookie);
    expect([page.status, page.text]).toEqual([400, expect.stringContaining('STARTER_GONE')]);
    expect((await control(app.sandbox.url, 'calls')).byEndpoint.token).toBe(before);
    expect((await read(app, id)).state).toBe('CONFIGURED');
  });

  test('leaves nothing in caches and referrers, and runs no script, however it goes on and ends', async () => {
    const id = await fresh();
    const link = await authorizationUrl(app.graphql, id);
    const start = await fetch(link, { redirect: 'manual' });
    const again = await fetch(link, { redirect: 'manual' });
    const denied = await walkFlow(await authorizationUrl(app.graphql, id), undefined, 'deny');
    const granted = await walkFlow(await authorizationUrl(app.graphql, id));
    const overtaken = await consented(id);
    await authorizationUrl(app.graphql, id);
    const superseded = await bring(overtaken.callback, overtaken.cookie);
    const refused = await bring(`${app.url}/oauth/calendly/callback?state=x&code=y`, '');
    const pages = { again, denied, granted, superseded, refused };
    expect([start, ...Object.values(pages)].map(({ status }) => status)).toEqual([
      303, 404, 400, 200, 409, 400,
    ]);
    for (const { headers } of [start, ...Object.values(pages)]) {
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
    }
    for (const { headers } of Object.values(pages))
      expect(headers.get('content-security-policy')).toMatch(
        /^default-src 'none'; style-src 'sha256-[^']+'; base/,
      );
    expect(start.headers.get('set-cookie')).toMatch(
      /^omnera_oauth_[\w-]{8}=[\w-]{43}; Path=\/oauth\/calendly; HttpOnly; SameSite=Lax; Max-Age=600$/,
    );
  });

  test('has a cookie for https alone where the server is reached by https', async () => {
    const secure = await app.another({ publicUrl: 'https://omnera.example.com' });
    try {
      const link = new URL(await authorizationUrl(secure.graphql, await fresh()));
      const start = await fetch(secure.url + link.pathname, { redirect: 'manual' });
      expect(start.headers.get('set-cookie')).toMatch(/; Secure$/);
    } finally {
      await secure.close();
    }
  });

  test('is not ended by an answer of another issuer, and goes on with the right one', async () => {
    const id = await fresh();
    const { callback, cookie } = await consented(id);
    const from = (issuer: string) => {
      const url = new URL(callback);
      url.searchParams.set('iss', issuer);
      return url;
    };
    for (const issuer of ['https://evil.example', `${app.sandbox.url}.evil.example`, '']) {
      const page = await bring(from(issuer), cookie);
      expect([page.status, page.text]).toEqual([400, expect.stringContaining('WRONG_ISSUER')]);
      expect((await read(app, id)).state).toBe('CONFIGURED');
    }
    expect((await bring(from(app.sandbox.url), cookie)).text).toContain('Connected');
  });

  test('sends the browser to one exact address, whatever host and protocol a request claims', async () => {
    const expected = `${app.url}/oauth/calendly/callback`;
    const link = new URL(await authorizationUrl(app.graphql, await fresh()));
    const location = await new Promise<string | undefined>((resolve, reject) =>
      request(
        link,
        {
          headers: {
            host: 'evil.example',
            'x-forwarded-host': 'evil.example',
            'x-forwarded-proto': 'gopher',
          },
        },
        (response) => resolve(response.resume().headers.location),
      )
        .on('error', reject)
        .end(),
    );
    expect(location?.startsWith(`${app.sandbox.url}/oauth2/v1/authorize?`)).toBe(true);
    expect(new URL(location!).searchParams.get('redirect_uri')).toBe(expected);
    for (const path of [
      '/oauth/calendly/callback/',
      '/oauth/calendly/callback/x',
      '/OAuth/calendly/callback',
    ])
      expect((await fetch(`${app.url}${path}?state=x&code=y`)).status).toBe(404);
  });

  test.each([
    ['of another origin', (own: string) => `${own}.evil.example/`],
    ['with a user name', (own: string) => own.replace('://', '://user@')],
    ['at another port', (own: string) => `${own}0/`],
    ['with another protocol', (own: string) => own.replace('http', 'https')],
    ['that is relative', () => '//evil.example/'],
    ['of a script', () => 'javascript:alert(1)'],
    ['of data', () => 'data:text/html,x'],
  ])('leads back to no address %s', async (_what, address) => {
    const { data } = await app.graphql(
      `mutation ($input: ConnectConnectionInput!) { connectConnection(input: $input) { __typename } }`,
      { input: { connection: await fresh(), redirectTo: address(app.url) } },
    );
    expect(data.connectConnection.__typename).toBe('InvalidInputError');
  });

  test('keeps the client secret from whoever a redirect of the token endpoint points to', async () => {
    const [provider, elsewhere] = [
      await new ThrowawayUpstream().start(),
      await new ThrowawayUpstream().start(),
    ];
    const other = await app.another({
      upstream: { apiUrl: app.sandbox.url, oauthUrl: provider.url },
      publicUrl: app.url,
    });
    try {
      for (const status of [301, 302, 303, 307, 308]) {
        provider.behave(answer(status, {}, { location: `${elsewhere.url}/oauth2/v1/token` }));
        const link = new URL(await authorizationUrl(other.graphql, await fresh()));
        const { consentUrl, cookie } = await openFlow(`${other.url}${link.pathname}`);
        const callback = new URL(`${other.url}/oauth/calendly/callback`);
        callback.searchParams.set('state', new URL(consentUrl).searchParams.get('state')!);
        callback.searchParams.set('code', 'a-code');
        expect((await bring(callback, cookie)).text).toContain('PROVIDER_UNAVAILABLE');
        expect(provider.received[0]?.headers.authorization).toMatch(/^Basic /);
      }
      expect(elsewhere.received).toEqual([]);
    } finally {
      await other.close();
      await provider.close();
      await elsewhere.close();
    }
  });

  test('refuses secrets in a URL that it would send a browser to', async () => {
    const { searchParams, href } = new URL((await opened(await fresh())).consentUrl);
    expect([...searchParams.keys()].sort()).toEqual([
      'client_id',
      'code_challenge',
      'code_challenge_method',
      'redirect_uri',
      'response_type',
      'scope',
      'state',
    ]);
    expect(href).not.toContain(TEST_CLIENT.clientSecret);
  });
});

describe('stored secrets', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  const flipABit = (column: string) =>
    `UPDATE connection_secrets SET ${column} = overlay(${column} PLACING
       CASE WHEN substr(${column}, length(${column}) - 9, 1) = 'A' THEN 'B' ELSE 'A' END FROM length(${column}) - 9 FOR 1)
     WHERE connection_id = $1`;
  const fromAnotherRow = (column: string) =>
    `UPDATE connection_secrets SET ${column} = (SELECT ${column} FROM connection_secrets WHERE connection_id = $2)
     WHERE connection_id = $1`;
  const inPlaceOf = (column: string, from: string) =>
    `UPDATE connection_secrets SET ${column} = ${from} WHERE connection_id = $1`;

  /* Which step meets the damage: a call that needs the access token, or a refresh, which needs the other two. */
  test.each([
    ['an access token with a bit flipped', 'call', flipABit('access_token')],
    ['a refresh token with a bit flipped', 'refresh', flipABit('refresh_token')],
    ['a client secret with a bit flipped', 'refresh', flipABit('client_secret')],
    ['the access token of another connection', 'call', fromAnotherRow('access_token')],
    ['the refresh token of another connection', 'refresh', fromAnotherRow('refresh_token')],
    ['the client secret of another connection', 'refresh', fromAnotherRow('client_secret')],
    ['a refresh token in place of the access token', 'call', inPlaceOf('access_token', 'refresh_token')],
    ['an access token in place of the refresh token', 'refresh', inPlaceOf('refresh_token', 'access_token')],
    ['a refresh token in place of the client secret', 'refresh', inPlaceOf('client_secret', 'refresh_token')],
  ])('%s is refused, nothing is sent, and the neighbour goes on', async (what, step, damage) => {
    const [id, neighbour] = [
      await app.connect({ name: what }),
      await app.connect({ name: `Beside ${what}` }),
    ];
    await app.database.query(damage, damage.includes('$2') ? [id, neighbour] : [id]);
    if (step === 'refresh')
      await app.database.query(`UPDATE connections SET access_token_expires_at = now() WHERE id = $1`, [id]);
    const total = async (): Promise<number> => (await control(app.sandbox.url, 'calls')).total;
    const before = await total();
    expect(await run(app, 'testConnection', id)).toMatchObject({
      works: false,
      problem: { code: 'SECRET_UNREADABLE' },
      connection: { state: 'ERROR', problem: { code: 'SECRET_UNREADABLE' } },
    });
    expect(await total()).toBe(before);
    expect(await run(app, 'testConnection', neighbour)).toMatchObject({ works: true });
  });
});
