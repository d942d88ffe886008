import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createHmac } from 'node:crypto';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import { base64url, exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { ServerResponse } from 'node:http';
import { WebSocket } from 'ws';
import { createApp } from '../../src/app.ts';
import type { Clock } from '../../src/clock.ts';
import { authorizationUrl, startTestApp, walkFlow, type TestApp } from '../support/app.ts';
import { TestIdentityProvider } from '../support/identity-provider.ts';

let aheadMs = 0;
const clock: Clock = { now: () => Date.now() + aheadMs };
const [cooldownMs, refreshMs, keptMs] = [10_000, 600_000, 3_600_000];

let provider: TestIdentityProvider;
let app: TestApp;
let id: number;
beforeAll(async () => {
  provider = await TestIdentityProvider.start();
  app = await startTestApp({
    clock,
    config: { identityProvider: provider.config({ connectionsClaim: 'reach.connections' }) },
  });
  id = await app.connect();
});
afterAll(async () => {
  await app.close();
  await provider.close();
});

/** A token for all connections, unless it is said otherwise. */
const token = (
  claims: Record<string, unknown> = {},
  header: Parameters<TestIdentityProvider['token']>[1] = {},
): Promise<string> => provider.token({ reach: { connections: '*' }, ...claims }, header);

const whoAmI = 'query { caller { id name role connectionIds baseIds expiresAt } }';
const ask = (key: string, document = whoAmI, instance = app) => instance.graphql(document, { id }, { key });

describe('a token of the identity provider', () => {
  test('says who is calling, with which role and reach, and until when', async () => {
    const exp = Math.floor(Date.now() / 1_000) + 600;
    const { data } = await ask(await token({ role: ['editor', 'other'], exp, reach: { connections: [id] } }));
    expect(data.caller).toEqual({
      id: 'user:ada',
      name: 'Ada',
      role: 'EDITOR',
      connectionIds: [id],
      baseIds: null,
      expiresAt: new Date(exp * 1_000).toISOString(),
    });
  });

  test('leaves API keys what they were', async () => {
    expect((await ask(app.adminKey)).data.caller).toMatchObject({
      id: 'key:1',
      role: 'ADMIN',
      expiresAt: null,
    });
    const { key } = await app.app.keys.issue({
      name: 'Ends',
      role: 'viewer',
      connectionIds: [id],
      baseIds: ['appABC123'],
      expiresAt: new Date('2100-01-01T00:00:00Z'),
    });
    expect((await ask(key)).data.caller).toMatchObject({
      connectionIds: [id],
      baseIds: ['appABC123'],
      expiresAt: '2100-01-01T00:00:00.000Z',
    });
  });

  test('may do what its role may, and no more', async () => {
    const create = `mutation { createConnection(input: { type: "calendly", name: "By token", clientId: "a", clientSecret: "b" }) { __typename } }`;
    const refused = await ask(await token({ role: 'editor' }), create);
    expect(refused.errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    expect((await ask(await token(), create)).data.createConnection.__typename).toBe(
      'CreateConnectionSuccess',
    );
  });

  test('reaches nothing else: it looks as if it did not exist', async () => {
    const base = 'query ($id: Int!) { connections { id } base(connection: $id, baseId: "appABC123") { id } }';
    const inside = await ask(await token({ role: 'viewer', reach: { connections: [String(id)] } }), base);
    expect(inside.data).toEqual({ connections: [{ id }], base: { id: 'appABC123' } });
    const outside = await ask(await token({ role: 'viewer', reach: { connections: [id + 100] } }), base);
    expect(outside.data).toEqual({ connections: [], base: null });
    expect(outside.errors?.[0]?.extensions.code).toBe('CONNECTION_NOT_FOUND');
  });

  test('without a role, or without its reach, is told what is missing', async () => {
    for (const [claims, claim] of [
      [{ role: 'boss' }, 'role'],
      [{ role: undefined }, 'role'],
      [{ reach: undefined }, 'reach.connections'],
      [{ reach: { connections: 'all' } }, 'reach.connections'],
    ] as const) {
      const { status, errors } = await ask(await token(claims));
      expect([status, errors?.[0]?.extensions]).toMatchObject([403, { code: 'FORBIDDEN', claim }]);
    }
  });

  test.each(['RS256', 'PS512', 'EdDSA'])('may be signed with %s', async (algorithm) => {
    await provider.rotate(algorithm);
    aheadMs += cooldownMs;
    expect((await ask(await token())).status).toBe(200);
    await provider.rotate();
    aheadMs += cooldownMs;
    expect((await ask(await token())).status).toBe(200);
  });

  test.each([['JWT'], ['at+jwt'], ['application/at+jwt'], [undefined]])(
    'may have the type %s',
    async (typ) => {
      expect((await ask(await token({}, { typ }))).status).toBe(200);
    },
  );
});

describe('refused, without a word on what is wrong with it, is a token', () => {
  const now = () => clock.now() / 1_000;
  const header = (given: object) => base64url.encode(JSON.stringify(given));
  const unsigned = (given: object) =>
    `${header(given)}.${header(provider.claims({ reach: { connections: '*' } }))}`;

  test.each<[string, () => Promise<string> | string]>([
    ['of another issuer', () => token({ iss: 'https://id.example.com' })],
    ['for somebody else', () => token({ aud: ['https://other.example.com'] })],
    ['that has expired', () => token({ exp: now() - 1 })],
    ['without an end', () => token({ exp: undefined })],
    ['whose end is no number', () => token({ exp: 'never' })],
    ['of which the beginning is a minute ahead', () => token({ nbf: now() + 60 })],
    ['without a subject', () => token({ sub: undefined })],
    ['of another type', () => token({}, { typ: 'logout+jwt' })],
    ['with an extension that must be understood', () => token({}, { crit: ['x'], x: 1 })],
    ['that is not signed', () => `${unsigned({ alg: 'none', typ: 'JWT' })}.`],
    [
      'signed with the public key as a shared secret',
      () => {
        const { kid, ...jwk } = provider.publicKey;
        const text = unsigned({ alg: 'HS256', typ: 'JWT', kid });
        return `${text}.${createHmac('sha256', JSON.stringify({ ...jwk, kid }))
          .update(text)
          .digest('base64url')}`;
      },
    ],
    [
      'signed by a key that it brings along',
      async () => {
        const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
        return new SignJWT(provider.claims({ reach: { connections: '*' } }))
          .setProtectedHeader({
            alg: 'ES256',
            jwk: await exportJWK(publicKey),
            jku: provider.jwksUrl,
            kid: provider.publicKey.kid,
          })
          .sign(privateKey);
      },
    ],
    [
      'changed on the way',
      async () => (await token()).replace(/\.[^.]+\./, `.${header(provider.claims({ sub: 'eve' }))}.`),
    ],
    ['of 8,001 characters', async () => (await token({ x: 'x'.repeat(8_000) })).slice(0, 8_001)],
    ['that only looks like one', () => 'abc.def.ghi'],
  ])('%s', async (_what, make) => {
    aheadMs += 60_000; // Another minute for the count of wrong keys.
    const { status, errors, headers } = await ask(await make());
    expect(status).toBe(401);
    expect(headers.get('www-authenticate')).toBe('Bearer');
    const wrongKey = await ask('wrong');
    expect(errors?.[0]?.message).toBe(wrongKey.errors?.[0]?.message);
    expect(errors?.[0]?.extensions).toEqual({ code: 'UNAUTHENTICATED', requestId: expect.any(String) });
  });

  test('but not one whose beginning is a few seconds ahead, since clocks differ', async () => {
    expect((await ask(await token({ nbf: now() + 3, exp: now() + 600 }))).status).toBe(200);
  });
});

test('forged tokens count as wrong keys; expired ones do not, and who was let in before comes back with a new one', async () => {
  aheadMs += 60_000;
  const exp = () => clock.now() / 1_000;
  const other = await TestIdentityProvider.start();
  try {
    const good = await token({ sub: 'grace', exp: exp() + 600 });
    expect((await ask(good)).status).toBe(200);
    for (let n = 0; n < 25; n += 1) expect((await ask(await token({ exp: exp() - 1 - n }))).status).toBe(401);
    expect((await ask(await token({ sub: 'newcomer', exp: exp() + 600 }))).status).toBe(200);
    for (let n = 0; n < 20; n += 1)
      expect((await ask(await other.token({ n }, { kid: provider.publicKey.kid }))).status).toBe(401);
    expect((await ask(await token({ sub: 'stranger', exp: exp() + 600 }))).status).toBe(429);
    expect((await ask(good)).status).toBe(200);
    expect((await ask(await token({ sub: 'grace', exp: exp() + 601 }))).status).toBe(200);
    expect((await ask(await other.token({ sub: 'grace' }, { kid: provider.publicKey.kid }))).status).toBe(
      401,
    );
  } finally {
    aheadMs += 60_000;
    await other.close();
  }
});

describe('the provider’s keys', () => {
  async function counting(use: () => Promise<void>): Promise<number> {
    const before = provider.asked;
    await use();
    return provider.asked - before;
  }
  const statuses = async (tokens: string[]) =>
    (await Promise.all(tokens.map(async (one) => ask(one)))).map(({ status }) => status);
  const many = (n: number, make = token) =>
    Promise.all(
      Array.from({ length: n }, (_, index) => make({ n: index, exp: (clock.now() + keptMs * 3) / 1_000 })),
    );

  test('a new one is asked for once, however many tokens name it; the older still counts', async () => {
    const [before = ''] = await many(1);
    await ask(before);
    await provider.rotate();
    aheadMs += cooldownMs;
    const tokens = await many(10);
    expect(await counting(async () => expect(new Set(await statuses(tokens))).toEqual(new Set([200])))).toBe(
      1,
    );
    expect(await counting(async () => expect(await statuses([before])).toEqual([200]))).toBe(0);
  });

  test('names of keys that do not exist are asked for once in ten seconds', async () => {
    aheadMs += 60_000;
    const made = () => many(3, (claims) => token(claims, { kid: 'made-up' }));
    expect(
      await counting(async () => expect(new Set(await statuses(await made()))).toEqual(new Set([401]))),
    ).toBe(1);
    expect(await counting(async () => void (await statuses(await made())))).toBe(0);
    aheadMs += cooldownMs;
    expect(await counting(async () => void (await statuses(await made())))).toBe(1);
  });

  test('are believed for an hour while the provider is down, which costs it one question in ten seconds', async () => {
    aheadMs += 60_000;
    const tokens = await many(8);
    provider.fault = (response) => response.writeHead(500).end();
    try {
      aheadMs += refreshMs;
      const [first, second, third, fourth, ...rest] = tokens as [string, string, string, string];
      expect(await counting(async () => expect(await statuses([first, second])).toEqual([200, 200]))).toBe(1);
      expect(await counting(async () => expect(await statuses([third])).toEqual([200]))).toBe(0);
      const named = await token({ exp: clock.now() / 1_000 + 60 }, { kid: 'perhaps-new' });
      expect((await ask(named)).errors?.[0]?.extensions.code).toBe('IDENTITY_PROVIDER_UNAVAILABLE');
      aheadMs += keptMs;
      expect(
        await counting(async () =>
          expect(await statuses([fourth, ...rest.slice(0, 2)])).toEqual([503, 503, 503]),
        ),
      ).toBe(1);
      provider.fault = null;
      expect(await statuses([fourth])).toEqual([503]);
      aheadMs += cooldownMs;
      expect(await statuses([fourth])).toEqual([200]);
    } finally {
      provider.fault = null;
    }
  });

  describe('that nobody has read yet', () => {
    let elsewhere: TestIdentityProvider;
    let cold: TestApp;
    beforeAll(async () => {
      elsewhere = await TestIdentityProvider.start();
      cold = await startTestApp({ clock, config: { identityProvider: elsewhere.config() } });
    });
    afterAll(async () => {
      await cold.close();
      await elsewhere.close();
    });

    test.each<[string, (response: ServerResponse) => void]>([
      ['answers 404', (response) => response.writeHead(404).end()],
      ['leads elsewhere', (response) => response.writeHead(302, { location: provider.jwksUrl }).end()],
      ['answers with something else', (response) => response.end('<html>')],
      ['answers with no key set', (response) => response.end('{"keys":{}}')],
      ['answers with far too much', (response) => response.end(`{"keys":[]${' '.repeat(300_000)}}`)],
      ['hangs up', (response) => response.destroy()],
    ])(
      'a provider that %s is told apart from a wrong token, and counts against nobody',
      async (_what, fault) => {
        elsewhere.fault = fault;
        elsewhere.asked = 0;
        aheadMs += cooldownMs;
        for (let n = 0; n < 21; n += 1) {
          const { status, errors, headers } = await ask(await elsewhere.token({ n }), whoAmI, cold);
          expect([status, errors?.[0]?.extensions.code]).toEqual([503, 'IDENTITY_PROVIDER_UNAVAILABLE']);
          expect(headers.get('retry-after')).toBe('10');
        }
        expect(elsewhere.asked).toBe(1);
        expect(cold.logs.text).toContain('the keys of the identity provider could not be read');
        expect(await closeCode(cold, await elsewhere.token())).toBe(1013);
        expect((await ask(cold.adminKey, whoAmI, cold)).status).toBe(200);
      },
    );

    test('keys that are damaged, or shared secrets, open nothing', async () => {
      aheadMs += cooldownMs;
      const secret = Buffer.from('x'.repeat(64));
      const keys = [
        { kty: 'oct', kid: 'shared', k: secret.toString('base64url') },
        { kty: 'EC', crv: 'P-256', kid: 'damaged', x: 'AQAB', y: 'AQAB', alg: 'ES256' },
        elsewhere.publicKey,
      ];
      elsewhere.fault = (response) => response.end(JSON.stringify({ keys }));
      const exp = clock.now() / 1_000 + 60;
      const shared = await new SignJWT(elsewhere.claims({ exp }))
        .setProtectedHeader({ alg: 'HS256', kid: 'shared' })
        .sign(secret);
      expect((await ask(shared, whoAmI, cold)).status).toBe(401);
      expect((await ask(await elsewhere.token({ exp }, { kid: 'damaged' }), whoAmI, cold)).status).toBe(401);
      expect((await ask(await elsewhere.token({ exp }), whoAmI, cold)).status).toBe(200);
    });
  });
});

async function closeCode(instance: TestApp, key: string): Promise<number> {
  const socket = new WebSocket(`${instance.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  socket.on('open', () =>
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } })),
  );
  return new Promise((resolve) => socket.on('close', resolve));
}

describe('what runs when a token expires', () => {
  const document =
    'subscription ($id: Int!) { recordChanges(connection: $id, baseId: "appABC123") { __typename } }';

  async function overSocket(key: string) {
    const client = createClient({
      url: `${app.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${key}` },
      retryAttempts: 0,
    });
    let isClosed = false;
    const closed = new Promise<{ code: number; at: number }>((resolve) =>
      client.on('closed', (event) => {
        isClosed = true;
        resolve({ code: (event as { code: number }).code, at: clock.now() });
      }),
    );
    await new Promise((resolve, reject) =>
      client.subscribe(
        { query: document, variables: { id } },
        { next: resolve, error: reject, complete: () => undefined },
      ),
    );
    return { closed, isClosed: () => isClosed, close: () => client.dispose() };
  }

  async function asEvents(key: string) {
    const client = createSseClient({
      url: `${app.url}/graphql`,
      headers: { authorization: `Bearer ${key}` },
      retryAttempts: 0,
    });
    const codes: unknown[] = [];
    let begun: (value: unknown) => void;
    const started = new Promise((resolve) => (begun = resolve));
    const ended = new Promise<{ codes: unknown[]; at: number }>((resolve, reject) =>
      client.subscribe(
        { query: document, variables: { id } },
        {
          next: ({ errors }) => {
            codes.push(...(errors ?? []).map((error) => error.extensions?.code));
            begun(null);
          },
          error: reject,
          complete: () => resolve({ codes, at: clock.now() }),
        },
      ),
    );
    await started;
    return { ended, close: () => client.dispose() };
  }

  test('ends with it: a socket with 4403, a stream with UNAUTHENTICATED; of another token it goes on', async () => {
    const exp = (clock.now() + 1_500) / 1_000;
    const ending = await token({ exp });
    // A timer of more than 24.8 days would fire at once.
    const staying = await overSocket(await token({ exp: clock.now() / 1_000 + 60 * 86_400 }));
    const [socket, stream] = await Promise.all([overSocket(ending), asEvents(ending)]);
    const [closed, told] = await Promise.all([socket.closed, stream.ended]);
    expect(closed.code).toBe(4403);
    expect(told.codes).toEqual(['UNAUTHENTICATED']);
    for (const { at } of [closed, told]) {
      expect(at).toBeGreaterThanOrEqual(exp * 1_000);
      expect(at).toBeLessThan(exp * 1_000 + 1_000);
    }
    expect((await ask(ending)).status).toBe(401);
    expect(await closeCode(app, ending)).toBe(4403);
    expect(staying.isClosed()).toBe(false);
    for (const one of [socket, stream, staying]) await one.close();
  });
});

describe('an OAuth flow begun by a person', () => {
  const create = async (key: string) => {
    const { data } = await ask(
      key,
      `mutation { createConnection(input: { type: "calendly", name: "Flow ${Math.random()}", clientId: "calendly_client_xyz789", clientSecret: "secret_calendly_abc123" }) { ... on CreateConnectionSuccess { connection { id } } } }`,
    );
    return data.createConnection.connection.id as number;
  };
  const begin = (key: string, connection: number) =>
    authorizationUrl((document, variables) => app.graphql(document, variables, { key }), connection);

  test('names the person on its page', async () => {
    const key = await token({ sub: 'lovelace', name: 'Ada <Lovelace>', exp: clock.now() / 1_000 + 600 });
    const page = await walkFlow(await begin(key, await create(key)));
    expect(page.text).toContain('<h1>Connected</h1>');
    expect(page.text).toContain('Ada &#60;Lovelace&#62; (user:lovelace)');
  });

  test('is not accepted once the token has expired', async () => {
    const key = await token({ exp: clock.now() / 1_000 + 60 });
    const connection = await create(key);
    const link = await begin(key, connection);
    aheadMs += 60_000;
    const page = await walkFlow(link);
    expect([page.status, page.text]).toEqual([400, expect.stringContaining('STARTER_GONE')]);
    const { data } = await app.graphql('query ($id: Int!) { connection(id: $id) { state } }', {
      id: connection,
    });
    expect(data.connection.state).toBe('CONFIGURED');
  });

  test('is not accepted where the provider has been changed meanwhile', async () => {
    const key = await token({ exp: clock.now() / 1_000 + 60 });
    const link = await begin(key, await create(key));
    await app.database.query(
      `UPDATE authorization_flows SET starter = jsonb_set(starter, '{issuer}', '"https://former.example.com"') WHERE finished_at IS NULL`,
    );
    expect((await walkFlow(link)).text).toContain('STARTER_GONE');
  });
});

test('neither tokens nor their claims are logged', async () => {
  const key = await token({ email: 'planted@example.com', name: 'Planted', exp: clock.now() / 1_000 - 1 });
  expect((await ask(key)).status).toBe(401);
  expect(app.logs.text).toContain('a token of the identity provider was refused');
  for (const secret of [key, key.split('.')[2] ?? '', 'planted@example.com'])
    expect(app.logs.text).not.toContain(secret);
});

test('without an admin key in the configuration, the one that was configured opens nothing any more', async () => {
  const { app: first, adminKey } = app;
  const next = await createApp({ ...first.config, adminApiKey: null }, { logger: first.logger, clock });
  await next.close();
  // Another instance revoked it, so it may be believed here for one more second.
  first.authentication.doubtKeys();
  expect((await ask(adminKey)).status).toBe(401);
  const key = await token({ exp: clock.now() / 1_000 + 60 });
  const { data } = await ask(key, '{ apiKeys { configured revokedAt } }');
  expect(data.apiKeys[0]).toEqual({ configured: false, revokedAt: expect.any(String) });
});
