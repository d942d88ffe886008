import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import getPort from 'get-port';
import { listen, type QueryWays, type Server } from '../../src/server/listen.ts';
import { startTestApp, type TestApp, type UntypedData } from '../support/app.ts';

/** The three ways in which a query may be answered. */
const ways: Record<string, QueryWays> = {
  pipeline: { direct: false },
  interpreted: { direct: true, interpretedRuns: 1_000_000 },
  compiled: { direct: true, interpretedRuns: 0 },
};

let app: TestApp;
let connection: number;
let viewer: string;
const servers = new Map<string, Server>();
beforeAll(async () => {
  app = await startTestApp({ config: { allowedOrigins: ['https://app.example.com'] } });
  connection = await app.connect();
  viewer = await app.app.keys.create('Reads', 'viewer', { connectionIds: [connection] });
  for (const [way, queries] of Object.entries(ways)) {
    servers.set(way, await listen(app.app, { host: 'localhost', port: await getPort() }, queries));
  }
});
afterAll(async () => {
  for (const server of servers.values()) await server.close();
  await app.close();
});

interface Sent {
  method?: string;
  path?: string;
  headers?: Record<string, string | null>;
  body?: string;
}

async function answers({ method = 'POST', path = '/graphql', headers = {}, body }: Sent) {
  const all: Record<string, unknown> = {};
  for (const [way, server] of servers) {
    const sent = Object.entries({
      'content-type': 'application/json',
      authorization: `Bearer ${app.adminKey}`,
      'x-request-id': 'the-same-for-all',
      ...headers,
    }).filter((entry): entry is [string, string] => entry[1] !== null);
    const response = await fetch(`http://localhost:${server.port}${path}`, {
      method,
      headers: sent,
      ...(body === undefined ? {} : { body }),
    });
    const kept = [...response.headers].filter(
      ([name]) => !['date', 'connection', 'keep-alive'].includes(name),
    );
    const text = (await response.text())
      .replace(/"waitedMs":\d+/, '"waitedMs":0')
      // Each reading of a page begins a listing of its own upstream, and cursors tell which.
      .replace(/"(cursor|endCursor)":"[^"]+"/g, '"$1":"…"');
    all[way] = {
      status: response.status,
      headers: Object.fromEntries(kept.filter(([name]) => name !== 'content-length').sort()),
      body: response.headers.get('content-type')?.includes('json') ? inOrder(JSON.parse(text)) : text,
    };
  }
  return all;
}

/** Errors stand in the order in which they happened, which nobody may rely on. */
function inOrder(body: UntypedData): UntypedData {
  body.errors?.sort((a: UntypedData, b: UntypedData) =>
    JSON.stringify(a.path) < JSON.stringify(b.path) ? -1 : 1,
  );
  return body;
}

/** @returns what all three ways have answered */
async function sameAnswer(sent: Sent): Promise<{ status: number; body: UntypedData }> {
  const { pipeline, interpreted, compiled } = await answers(sent);
  expect(interpreted).toEqual(pipeline);
  expect(compiled).toEqual(pipeline);
  return compiled as never;
}

const query = (text: string, variables?: object, operationName?: string): string =>
  JSON.stringify({ query: text, variables, operationName });

describe('a query is answered the same, whichever way it takes', () => {
  const page = `query Page($connection: Int!, $first: Int = 3, $withEmail: Boolean = true) {
    base(connection: $connection, baseId: "appABC123") {
      __typename nodeId name
      contacts: table(id: "Contacts") {
        fields { id name type }
        records(first: $first) {
          pageInfo { hasNextPage endCursor }
          edges { cursor node { ...Contact } }
          nodes { ...Contact }
        }
      }
    }
  }
  fragment Contact on Record {
    id createdTime name: text(field: "Name") email: value(field: "Email") @include(if: $withEmail)
    fields(names: ["Name", "Status"]) linked(field: "Company", first: 2) { id text(field: "Name") } problems { code }
  }`;

  test.each<[string, () => string]>([
    ['a plain one', () => query('{ __typename }')],
    [
      'with an interface',
      () => query('{ connections { __typename id name ... on CalendlyConnection { clientSecret } } }'),
    ],
    [
      'one of several operations',
      () => query('query A { a: __typename } query B { b: __typename }', {}, 'B'),
    ],
    ['with a page of records', () => query(page, { connection })],
    ['with variables of their own', () => query(page, { connection, first: 2, withEmail: false })],
    [
      'with a node',
      () =>
        query('query ($id: ID!) { node(id: $id) { __typename nodeId } }', {
          id: 'Q2FsZW5kbHlDb25uZWN0aW9uOjE=',
        }),
    ],
    [
      'with nodes, one of which is none',
      () => query('{ nodes(ids: ["nonsense", "Q2FsZW5kbHlDb25uZWN0aW9uOjE="]) { nodeId } }'),
    ],
    [
      'with introspection',
      () =>
        query(
          '{ __schema { queryType { name } types { name kind } } __type(name: "Record") { fields { name } } }',
        ),
    ],
    [
      'with null for all that may be left out',
      () =>
        JSON.stringify({ query: '{ __typename }', variables: null, operationName: null, extensions: null }),
    ],
  ])('%s', async (_what, body) => {
    // The first time may cost upstream calls that the next ones find in memory.
    await answers({ body: body() });
    const { status } = await sameAnswer({ body: body() });
    expect(status).toBe(200);
  });

  test('errors of single fields stand at their places, beside the data', async () => {
    const body = query(
      `query ($connection: Int!) {
        good: base(connection: $connection, baseId: "appABC123") { table(id: "Contacts") { records(first: 2) { nodes { text(field: "Nmae") } } } }
        none: base(connection: 2147483647, baseId: "appABC123") { name }
        bad: connection(id: 0) { id }
      }`,
      { connection },
    );
    await answers({ body });
    const answer = await sameAnswer({ body });
    expect(answer.status).toBe(200);
    expect(answer.body.errors.length).toBeGreaterThan(2);
    for (const error of answer.body.errors) {
      expect(error.extensions).toMatchObject({ requestId: 'the-same-for-all' });
      expect(error.locations).toHaveLength(1);
    }
  });

  test.each([
    'application/json',
    'application/graphql-response+json',
    'application/graphql-response+json, application/json;q=0.9',
    'application/json, application/graphql-response+json',
    'application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed',
    'text/event-stream, application/json',
    'application/json; charset=utf-8',
    'application/json; charset=latin1, */*',
    'APPLICATION/JSON',
    'application/*',
    'text/*',
    'text/html',
    '*/*',
    'nonsense',
  ])('whoever accepts %s', async (accept) => {
    await sameAnswer({ headers: { accept }, body: query('{ __typename }') });
    await sameAnswer({ headers: { accept }, body: query('{ connection(id: 0) { id } }') });
    await sameAnswer({ headers: { accept }, body: query('{ nothing }') });
  });

  test.each([null, 'https://app.example.com', 'https://evil.example.com', 'null'])(
    'a page of %s',
    async (origin) => {
      await sameAnswer({ headers: { origin }, body: query('{ __typename }') });
      await sameAnswer({ headers: { origin }, body: query('{ nothing }') });
      await sameAnswer({ headers: { origin, authorization: null }, body: query('{ __typename }') });
    },
  );

  test('our own page', async () => {
    await sameAnswer({ headers: { origin: app.url }, body: query('{ __typename }') });
  });
});

describe('what is no plain query that succeeds is refused the same', () => {
  test.each<[string, Sent]>([
    ['no key', { headers: { authorization: null } }],
    ['a wrong key', { headers: { authorization: 'Bearer nonsense' } }],
    ['a header that is no key', { headers: { authorization: 'Basic YTpi' } }],
    ['no JSON', { body: '{' }],
    ['JSON that is no object', { body: '[]' }],
    ['null', { body: 'null' }],
    ['nothing', { body: '' }],
    ['no query', { body: '{}' }],
    ['a query that is a number', { body: '{"query":1}' }],
    ['variables that are a list', { body: '{"query":"{ __typename }","variables":[]}' }],
    ['an operation name that is a number', { body: '{"query":"{ __typename }","operationName":1}' }],
    ['a parameter that nobody knows', { body: '{"query":"{ __typename }","more":1}' }],
    ['__proto__', { body: '{"query":"{ __typename }","__proto__":{"a":1}}' }],
    ['a syntax error', { body: query('{') }],
    ['a field that is not there', { body: query('{ nothing }') }],
    ['an operation that is not there', { body: query('query A { __typename }', {}, 'B') }],
    ['two operations without a name', { body: query('query A { __typename } query B { __typename }') }],
    ['a variable that is missing', { body: query('query ($id: Int!) { connection(id: $id) { id } }') }],
    [
      'a variable of another type',
      { body: query('query ($id: Int!) { connection(id: $id) { id } }', { id: 'one' }) },
    ],
    [
      'too many aliases',
      { body: query(`{ ${Array.from({ length: 31 }, (_, n) => `a${n}: __typename`).join(' ')} }`) },
    ],
    [
      'too deep',
      { body: query(`{ a: __schema { types { ${'ofType { '.repeat(30)} name ${'} '.repeat(30)} } } }`) },
    ],
    [
      'a subscription',
      { body: query('subscription { connectionChanges { kind } }'), headers: { accept: 'application/json' } },
    ],
    [
      'a mutation by whoever may not',
      { body: query('mutation { deleteConnection(input: { connection: 9 }) { __typename } }') },
    ],
    ['a deadline that is no number', { headers: { 'x-deadline-ms': 'soon' }, body: query('{ __typename }') }],
    [
      'another charset',
      { headers: { 'content-type': 'application/json; charset=latin1' }, body: query('{ __typename }') },
    ],
    [
      'a form',
      { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'query={__typename}' },
    ],
    ['text', { headers: { 'content-type': 'text/plain' }, body: query('{ __typename }') }],
    ['a batch', { body: '[{"query":"{ __typename }"}]' }],
    ['GET', { method: 'GET', path: '/graphql?query=%7B__typename%7D' }],
    ['PUT', { method: 'PUT', body: query('{ __typename }') }],
  ])('%s', async (_what, sent) => {
    // Whoever may not delete: the others do not look at who it is.
    await sameAnswer({ ...sent, headers: { authorization: `Bearer ${viewer}`, ...sent.headers } });
  });

  test('a cap on upstream calls holds on each way', async () => {
    const body = query(
      `{ base(connection: ${connection}, baseId: "appABC123") { table(id: "Contacts") { records(first: 1) { nodes { id } } } } }`,
    );
    const { body: answer } = await sameAnswer({ body, headers: { 'x-upstream-max-calls': '0' } });
    expect(answer.errors[0].extensions.code).toBe('UPSTREAM_CALLS_EXCEEDED');
  });
});
