import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { errorCodes } from '../../src/errors.ts';
import { authorizationUrl, openFlow, startTestApp, type TestApp } from '../support/app.ts';
import { RawConnection } from './raw-connection.ts';

const allowedOrigin = 'https://app.example.com';

let app: TestApp;
let connectionId: number;
let rowsBefore: unknown;

beforeAll(async () => {
  app = await startTestApp({ config: { allowedOrigins: [allowedOrigin] } });
  connectionId = await app.connect({ name: 'Existing' });
});
afterAll(() => app.close());

const rows = () =>
  app.database.query(
    `SELECT (SELECT json_agg(c ORDER BY c.id) FROM connections c) AS connections,
            (SELECT count(*) FROM authorization_flows) AS flows, (SELECT count(*) FROM api_keys) AS keys,
            (SELECT count(*) FROM webhooks) AS webhooks, (SELECT count(*) FROM explorer_codes) AS codes`,
  );

beforeEach(async () => {
  rowsBefore = await rows();
  app.logs.text = '';
});

// Whatever came in: nothing was written, nothing went wrong that we had not foreseen, and the server is there.
afterEach(async () => {
  expect(await rows()).toEqual(rowsBefore);
  expect(app.logs.text).not.toContain('unexpected error');
  expect((await fetch(`${app.url}/health/live`)).status).toBe(200);
});

/** The codes of an answer, whose form and harmlessness are checked on the way. */
function codesOf(text: string): string[] {
  expect(text).not.toMatch(/node_modules|\.ts:\d+|\bat [\w.]+ \(|SELECT |INSERT /);
  const body = JSON.parse(text) as {
    error?: { code: string; requestId: string };
    errors?: { extensions: { code: string; requestId: string } }[];
  };
  const faults = body.error ? [body.error] : (body.errors ?? []).map((error) => error.extensions);
  for (const fault of faults) {
    expect(Object.keys(errorCodes)).toContain(fault.code);
    expect(fault.requestId).toMatch(/^[\w-]+$/);
  }
  return faults.map((fault) => fault.code);
}

async function send(path: string, init: RequestInit = {}) {
  const response = await fetch(`${app.url}${path}`, init);
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const asAdmin = (headers: Record<string, string> = {}) => ({
  authorization: `Bearer ${app.adminKey}`,
  ...headers,
});

function post(
  body: RequestInit['body'],
  headers: Record<string, string> = { 'content-type': 'application/json' },
) {
  return send('/graphql', { method: 'POST', body, headers: asAdmin(headers) });
}

const operation = (query: string, variables?: object) => JSON.stringify({ query, variables });

describe('keys', () => {
  test.each([
    ['no key', {}],
    ['a wrong key', { authorization: 'Bearer nonsense' }],
    ['a key that is no bearer token', { authorization: 'Basic YWRtaW46YWRtaW4=' }],
    ['two keys in one header', { authorization: 'Bearer a b' }],
    ['a very long key', { authorization: `Bearer ${'k'.repeat(10_000)}` }],
    ['an empty header', { authorization: '' }],
  ])('%s is 401, and says how to authenticate', async (_name, headers) => {
    for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
      const answer = await send('/graphql', {
        method,
        headers,
        ...(method === 'POST' ? { body: operation('{ __typename }') } : {}),
      });
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      expect(codesOf(answer.text)).toEqual(['UNAUTHENTICATED']);
    }
  });

  test('metrics are for this machine or an admin: what a proxy forwards needs a key', async () => {
    const forwarded = { 'x-forwarded-for': '203.0.113.7' };
    const stranger = await send('/metrics', { headers: forwarded });
    expect(stranger.status).toBe(401);
    expect(stranger.headers.get('www-authenticate')).toBe('Bearer');
    expect(codesOf(stranger.text)).toEqual(['UNAUTHENTICATED']);
    expect((await send('/metrics', { headers: { ...asAdmin(), ...forwarded } })).status).toBe(200);
    expect((await send('/metrics')).status).toBe(200);
  });
});

describe('bodies', () => {
  test.each([
    ['no body', ''],
    ['text', 'hello'],
    ['half of a JSON document', '{"query": "{ connections'],
    ['an array', '[]'],
    ['a number', '5'],
    ['null', 'null'],
    ['no query', '{}'],
    ['a query that is no text', '{"query": 5}'],
    ['variables that are no object', '{"query": "{ __typename }", "variables": "x"}'],
    ['an operation name that is no text', '{"query": "{ __typename }", "operationName": 5}'],
    ['an unknown parameter', '{"query": "{ __typename }", "extra": 1}'],
    [
      'an unknown operation name',
      '{"query": "query A { __typename } query B { __typename }", "operationName": "C"}',
    ],
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x00, 0x80])],
  ])('%s is 400', async (_name, body) => {
    const answer = await post(body, {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json',
    });
    expect(answer.status).toBe(400);
    expect(codesOf(answer.text)).toHaveLength(1);
  });

  test('malformed JSON is not quoted: it may hold a secret', async () => {
    const answer = await post(
      '{"query": "{ __typename }", "variables": { "clientSecret": "secret_calendly_abc123" x } }',
    );
    expect(answer.status).toBe(400);
    expect(codesOf(answer.text)).toEqual(['BAD_REQUEST']);
    expect(answer.text).not.toMatch(/secret|abc123/i);
  });

  test.each([
    ['a word too many', 'query { connections { id } } extra', 'GRAPHQL_PARSE_FAILED'],
    ['nothing in it', '', 'GRAPHQL_PARSE_FAILED'],
    ['nothing but spaces', '   ', 'GRAPHQL_PARSE_FAILED'],
    ['an unknown field', '{ nonsense }', 'GRAPHQL_VALIDATION_FAILED'],
    ['a required argument missing', '{ connection { id } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['a NUL character', '{ \u0000 }', 'GRAPHQL_PARSE_FAILED'],
  ])(
    'GraphQL with %s is refused with its code, and each answer has its own request id',
    async (_name, query, code) => {
      const ids = new Set<string>();
      for (let attempt = 0; attempt < 2; attempt += 1) {
        const answer = await post(operation(query));
        expect(codesOf(answer.text)).toEqual([code]);
        ids.add(
          (JSON.parse(answer.text) as { errors: { extensions: { requestId: string } }[] }).errors[0]!
            .extensions.requestId,
        );
        expect(answer.text).toContain(answer.headers.get('x-request-id'));
      }
      expect(ids.size).toBe(2);
    },
  );

  test.each([
    ['a form', 'application/x-www-form-urlencoded'],
    ['XML', 'application/xml'],
    ['nothing that is known', 'x/y'],
  ])('a content type of %s gets a coded answer', async (_name, type) => {
    const answer = await post('x', {
      'content-type': type,
      accept: 'application/graphql-response+json',
    });
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
    expect(codesOf(answer.text)).toHaveLength(1);
  });

  test('a GET whose variables are no JSON is 400', async () => {
    const answer = await send('/graphql?query={__typename}&variables={', { headers: asAdmin() });
    expect(answer.status).toBe(400);
    expect(codesOf(answer.text)).toEqual(['BAD_REQUEST']);
  });

  test('a body of 20 MB is 413 with its length announced, and the connection goes on', async () => {
    const connection = new RawConnection(app.url);
    const head = `POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${app.adminKey}\r\nContent-Type: application/json\r\n`;
    await connection.send(`${head}Content-Length: 20000000\r\n\r\n`);
    await connection.send(Buffer.alloc(20_000_000, 'x'));
    const answer = await connection.answer();
    expect(answer.status).toBe(413);
    expect(codesOf(answer.body)).toEqual(['REQUEST_TOO_LARGE']);
    await connection.send('GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n');
    expect((await connection.answer()).status).toBe(200);
    connection.close();
  });

  test('a body of 20 MB is 413 in chunks too, and the connection goes on', async () => {
    const connection = new RawConnection(app.url);
    await connection.send(
      `POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${app.adminKey}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    const chunk = Buffer.concat([
      Buffer.from('f4240\r\n'),
      Buffer.alloc(1_000_000, 'x'),
      Buffer.from('\r\n'),
    ]);
    for (let sent = 0; sent < 20; sent += 1) await connection.send(chunk);
    await connection.send('0\r\n\r\n');
    const answer = await connection.answer();
    expect(answer.status).toBe(413);
    expect(codesOf(answer.body)).toEqual(['REQUEST_TOO_LARGE']);
    await connection.send('GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n');
    expect((await connection.answer()).status).toBe(200);
    connection.close();
  });

  test('who never stops sending is cut off', async () => {
    const connection = new RawConnection(app.url);
    await connection.send('POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000000\r\n\r\n');
    const part = Buffer.alloc(1_000_000, 'x');
    let sent = 0;
    for (; !connection.socket.destroyed && sent < 200; sent += 1) await connection.send(part);
    expect(sent).toBeLessThan(200);
  });

  test.each(['/explorer/key', '/webhooks/calendly/00000000-0000-4000-8000-000000000000'])(
    'a body too large for %s is 413',
    async (path) => {
      const answer = await send(path, { method: 'POST', body: 'x'.repeat(2_000_000) });
      expect(answer.status).toBe(413);
      expect(codesOf(answer.text)).toEqual(['REQUEST_TOO_LARGE']);
    },
  );
});

describe('addresses and methods', () => {
  test.each([
    '/nothing',
    '/graphql/',
    '/graphql/x',
    '/oauth',
    '/webhooks/calendly',
    '/..%2f..%2fetc/passwd',
    '/%00',
    '/health',
  ])('%s is 404', async (path) => {
    const answer = await send(path, { headers: asAdmin() });
    expect(answer.status).toBe(404);
    expect(codesOf(answer.text)).toEqual(['NOT_FOUND']);
  });

  test.each(['PUT', 'DELETE', 'PATCH'])(
    '%s /graphql is 405 and names the methods that go',
    async (method) => {
      const answer = await send('/graphql', { method, headers: asAdmin() });
      expect(answer.status).toBe(405);
      expect(answer.headers.get('allow')).toBe('GET, POST');
      expect(codesOf(answer.text)).toEqual(['BAD_REQUEST']);
    },
  );

  test('a mutation by GET is 405 and does nothing', async () => {
    const query =
      'mutation { createConnection(input: { type: "calendly", name: "By GET", clientId: "a", clientSecret: "b" }) { __typename } }';
    const answer = await send(`/graphql?${new URLSearchParams({ query }).toString()}`, {
      headers: asAdmin(),
    });
    expect(answer.status).toBe(405);
    expect(codesOf(answer.text)).toHaveLength(1);
  });

  test.each([
    'POST /',
    'POST /health/live',
    'DELETE /metrics',
    'GET /explorer/key',
    'GET /webhooks/calendly/x',
  ])('%s is 404', async (line) => {
    const [method, path = ''] = line.split(' ');
    const answer = await send(path, { method });
    expect(answer.status).toBe(404);
    expect(codesOf(answer.text)).toEqual(['NOT_FOUND']);
  });

  test.each([
    ['two slashes', 'GET // HTTP/1.1', 404],
    ['a whole address', 'GET http://evil.example/health/live HTTP/1.1', 200],
    ['a whole address that is none', 'GET http://[ HTTP/1.1', 400],
    ['a star', 'OPTIONS * HTTP/1.1', 400],
    ['another host in front of the path', 'GET //evil.example/health/live HTTP/1.1', 404],
  ])('a request line with %s is understood or refused', async (_name, line, status) => {
    const connection = new RawConnection(app.url);
    await connection.send(`${line}\r\nHost: x\r\n\r\n`);
    const answer = await connection.answer();
    expect(answer.status).toBe(status);
    if (status !== 200) expect(codesOf(answer.body)).toHaveLength(1);
    connection.close();
  });
});

describe('headers', () => {
  test.each(['abc', '0', '-1', '1.5', '1e3', '9999999999', ' 5 x'])(
    'X-Deadline-Ms: %s is 400',
    async (value) => {
      const answer = await post(operation('{ connections { id } }'), {
        'content-type': 'application/json',
        'x-deadline-ms': value,
      });
      expect(answer.status).toBe(400);
      expect(codesOf(answer.text)).toEqual(['BAD_REQUEST']);
      expect(answer.text).toContain('X-Deadline-Ms');
    },
  );

  test.each(['abc', '-1', '1.5'])('X-Upstream-Max-Calls: %s is 400', async (value) => {
    const answer = await post(operation('{ connections { id } }'), {
      'content-type': 'application/json',
      'x-upstream-max-calls': value,
    });
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('X-Upstream-Max-Calls');
  });

  test('headers of 20 kB are 431, and the connection is closed', async () => {
    const connection = new RawConnection(app.url);
    await connection.send(`GET /health/live HTTP/1.1\r\nHost: x\r\nX-Large: ${'x'.repeat(20_000)}\r\n\r\n`);
    const answer = await connection.answer();
    expect(answer.status).toBe(431);
    expect(codesOf(answer.body)).toEqual(['REQUEST_TOO_LARGE']);
    await connection.closed();
  });

  test.each([
    ['no HTTP', 'hello\r\n\r\n'],
    ['TLS', Buffer.from('16030100c8010000c40303', 'hex')],
    ['a header without a name', 'GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n'],
    [
      'two lengths',
      'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde',
    ],
    [
      'a length and chunks, as in request smuggling',
      'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
  ])('%s is 400, and the connection is closed', async (_name, text) => {
    const connection = new RawConnection(app.url);
    await connection.send(text);
    const answer = await connection.answer();
    expect(answer.status).toBe(400);
    expect(codesOf(answer.body)).toEqual(['BAD_REQUEST']);
    await connection.closed();
  });

  test('a harmless X-Request-Id is kept, in the answer and in its errors', async () => {
    const answer = await post(operation('{ nonsense }'), {
      'content-type': 'application/json',
      'x-request-id': 'shop-checkout_42',
    });
    expect(answer.headers.get('x-request-id')).toBe('shop-checkout_42');
    expect(JSON.parse(answer.text)).toMatchObject({
      errors: [{ extensions: { requestId: 'shop-checkout_42' } }],
    });
    const lost = await send('/nothing', { headers: { 'x-request-id': 'shop-checkout_43' } });
    expect(JSON.parse(lost.text)).toMatchObject({ error: { requestId: 'shop-checkout_43' } });
  });

  test.each([['<script>'], ['a b'], ['x'.repeat(65)], ['"quoted"']])(
    'the X-Request-Id %s is replaced',
    async (given) => {
      const { headers } = await send('/health/live', { headers: { 'x-request-id': given } });
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    },
  );
});

describe('values', () => {
  const connectionQuery = 'query ($id: Int!) { connection(id: $id) { id } }';

  test.each([2_147_483_648, -2_147_483_649, 1e300, 1.5, '1', true, null])(
    '%p as a connection is refused',
    async (id) => {
      expect(codesOf((await post(operation(connectionQuery, { id }))).text)).toHaveLength(1);
    },
  );

  test.each([0, -1])('%p as a connection is refused in the words of the product', async (id) => {
    const answer = await post(operation(connectionQuery, { id }));
    expect(codesOf(answer.text)).toEqual(['INVALID_INPUT']);
    expect(answer.text).toContain('ID must be a positive integer');
  });

  test('the largest number is merely missing', async () => {
    expect(JSON.parse((await post(operation(connectionQuery, { id: 2_147_483_647 }))).text)).toMatchObject({
      data: { connection: null },
    });
  });

  test.each([
    ['name', { name: 'a\u0000b', clientId: 'a', clientSecret: 'b' }],
    ['clientId', { name: 'NUL', clientId: 'a\u0000', clientSecret: 'b' }],
    ['clientSecret', { name: 'NUL', clientId: 'a', clientSecret: '\u0000' }],
  ])('a NUL character in %s is named', async (field, input) => {
    const answer = await post(
      operation(
        'mutation ($input: CreateConnectionInput!) { createConnection(input: $input) { ... on InvalidInputError { code faults { path } } } }',
        {
          input: { type: 'calendly', ...input },
        },
      ),
    );
    expect(JSON.parse(answer.text)).toMatchObject({
      data: { createConnection: { code: 'INVALID_INPUT', faults: [{ path: [field] }] } },
    });
  });

  test.each([
    ['a base', '{ base(connection: $c, baseId: $text) { id } }'],
    ['a table', '{ base(connection: $c, baseId: "appABC123") { table(id: $text) { id } } }'],
    [
      'a field',
      '{ base(connection: $c, baseId: "appABC123") { table(id: "tblDEF456") { field(id: $text) { id } } } }',
    ],
    [
      'a record',
      '{ record(connection: $c, baseId: "appABC123", tableId: "tblDEF456", recordId: $text) { id } }',
    ],
    [
      'changes of a table',
      '{ changes(connection: $c, baseId: "appABC123", tableId: $text) { nodes { cursor } } }',
    ],
    ['a webhook', 'mutation { refreshWebhook(input: { id: $text }) { ... on Error { message } } }'],
    [
      'a redirect',
      'mutation { connectConnection(input: { connection: $c, redirectTo: $text }) { ... on Error { code } } }',
    ],
  ])('odd text as %s is refused or missing, never an accident', async (_name, template) => {
    for (const text of [
      '\u0000',
      'app\u0000x',
      "'; DROP TABLE connections; --",
      '../../etc/passwd',
      '\ud800',
      'x'.repeat(50_000),
      '',
    ]) {
      const variables = `(${['$c: Int!', '$text: String!'].filter((variable) => template.includes(variable.split(':')[0]!)).join(', ')})`;
      const [keyword, rest] = template.startsWith('mutation')
        ? ['mutation', template.slice('mutation'.length)]
        : ['query', template];
      const answer = await post(operation(`${keyword} ${variables} ${rest}`, { c: connectionId, text }));
      expect(codesOf(answer.text)).not.toContain('INTERNAL');
    }
  });

  test.each([
    '!',
    '',
    'Q2FsZW5kbHlDb25uZWN0aW9uOjk5OTk5OTk5OTk5',
    'QmFzZTox',
    `${'A'.repeat(100_000)}`,
    '\u0000',
  ])('a global id that is none is refused at its own place', async (id) => {
    const answer = await post(
      operation('query ($id: ID!) { node(id: $id) { __typename } connections { id } }', { id }),
    );
    expect(codesOf(answer.text)).not.toContain('INTERNAL');
    expect(JSON.parse(answer.text)).toMatchObject({
      data: { node: null, connections: [{ id: connectionId }] },
    });
  });

  test('a wrong type is told with its place but without the values beside it', async () => {
    const secret = 'secret_never_to_be_seen';
    for (const input of [
      { type: 'calendly', name: 'N', clientId: 'a', clientSecret: secret, extra: 1 },
      { type: 'calendly', name: 'N', clientId: 'a', clientSecret: [secret] },
      { type: 'calendly', name: { secret }, clientId: 'a', clientSecret: secret },
    ]) {
      const answer = await post(
        operation(
          'mutation ($input: CreateConnectionInput!) { createConnection(input: $input) { __typename } }',
          { input },
        ),
      );
      expect(codesOf(answer.text)).toEqual(['GRAPHQL_VALIDATION_FAILED']);
      expect(answer.text).toContain('$input');
      expect(answer.text).not.toContain(secret);
    }
  });
});

describe('forgery', () => {
  test.each([
    '',
    '?state=',
    '?state=forged&code=x',
    `?state=${'f'.repeat(43)}&code=abc`,
    '?code=abc&error=access_denied',
    `?state=${'\u0000'}`,
  ])('the callback with %j is refused', async (query) => {
    const answer = await send(`/oauth/calendly/callback${query}`, {
      headers: { cookie: 'omnera_oauth=AAAA' },
    });
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('UNKNOWN_STATE');
  });

  test('a state is of no use without the cookie of its browser', async () => {
    const { consentUrl } = await openFlow(await authorizationUrl(app.graphql, connectionId));
    // The wish for a flow is itself a write: the connection's older flows are void from now on.
    rowsBefore = await rows();
    const state = new URL(consentUrl).searchParams.get('state') ?? '';
    const answer = await send(`/oauth/calendly/callback?state=${state}&code=x`, {
      headers: { cookie: 'omnera_oauth=forged' },
    });
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('OTHER_BROWSER');
  });

  test.each(['x', '%00', '../../graphql', 'A'.repeat(5_000)])(
    'the start link %s does not open',
    async (token) => {
      const answer = await send(`/oauth/calendly/start/${token}`, { redirect: 'manual' });
      expect(answer.status).toBe(404);
      expect(answer.headers.get('set-cookie')).toBeNull();
    },
  );

  test.each(['x', '00000000-0000-4000-8000-000000000000', '%00', "'--"])(
    'a ping for %s is nobody’s',
    async (id) => {
      const answer = await send(`/webhooks/calendly/${id}`, {
        method: 'POST',
        body: '{}',
        headers: { 'x-airtable-content-mac': 'hmac-sha256=00' },
      });
      expect(answer.status).toBe(404);
    },
  );

  test('a code for the explorer that was never issued is refused', async () => {
    for (const body of [
      '{"code":"nonsense"}',
      '{}',
      '[]',
      'x',
      '{"code":"a","more":1}',
      '{"code":"\\u0000"}',
    ]) {
      const answer = await send('/explorer/key', { method: 'POST', body });
      expect([400, 401]).toContain(answer.status);
      expect(codesOf(answer.text)).toHaveLength(1);
    }
  });
});

describe('browsers of other origins', () => {
  const preflight = (origin: string) =>
    send('/graphql', {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    });

  test('a preflight of an allowed origin is answered', async () => {
    const { status, headers } = await preflight(allowedOrigin);
    expect(status).toBe(204);
    expect(headers.get('access-control-allow-origin')).toBe(allowedOrigin);
    expect(headers.get('access-control-allow-methods')).toContain('POST');
    expect(headers.get('access-control-allow-headers')).toContain('authorization');
    expect(headers.get('access-control-allow-credentials')).not.toBe('true');
  });

  test.each([
    'https://evil.example',
    'null',
    'https://app.example.com.evil.example',
    'http://app.example.com',
  ])('a preflight of %s gets no permission', async (origin) => {
    const { headers } = await preflight(origin);
    expect(headers.get('access-control-allow-origin')).toBeNull();
    expect(headers.get('access-control-allow-headers')).toBeNull();
  });

  test('an allowed origin may read answers and refusals; another may not', async () => {
    const ask = (origin: string, key: string) =>
      send('/graphql', {
        method: 'POST',
        body: operation('{ __typename }'),
        headers: { origin, authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      });
    for (const key of [app.adminKey, 'wrong']) {
      const allowed = await ask(allowedOrigin, key);
      expect(allowed.status).toBe(key === 'wrong' ? 401 : 200);
      expect(allowed.headers.get('access-control-allow-origin')).toBe(allowedOrigin);
      expect(allowed.headers.get('access-control-expose-headers')).toContain('X-Request-Id');
      expect(allowed.headers.get('vary')?.toLowerCase()).toContain('origin');
      expect((await ask('https://evil.example', key)).headers.get('access-control-allow-origin')).toBeNull();
    }
  });
});
