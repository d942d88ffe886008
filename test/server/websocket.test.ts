import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import pg from 'pg';
import { WebSocket } from 'ws';
import { errorCodes } from '../../src/errors.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { RawConnection } from './raw-connection.ts';

const allowedOrigin = 'https://app.example.com';

/** An upstream is not asked, and nobody waits for a peer. */
const soonMs = 5_000;

const subscription =
  'subscription ($id: Int!) { recordChanges(connection: $id, baseId: "appABC123") { __typename } }';

let app: TestApp;
let variables: { id: number };
beforeAll(async () => {
  app = await startTestApp({ config: { allowedOrigins: [allowedOrigin] } });
  variables = { id: await app.connect() };
});
afterAll(() => app.close());

afterEach(async () => {
  expect(app.logs.text).not.toContain('unexpected error');
  expect((await fetch(`${app.url}/health/live`)).status).toBe(200);
});

interface Message {
  id?: string;
  type: string;
  payload?: unknown;
}

/** A socket on which messages are written by hand. */
class HandWritten {
  readonly socket: WebSocket;
  readonly messages: Message[] = [];
  readonly closed: Promise<number>;

  constructor(options: { origin?: string; protocol?: string; headers?: Record<string, string> } = {}) {
    const { origin, protocol = 'graphql-transport-ws', headers } = options;
    this.socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, protocol, { origin, headers });
    this.socket.on('error', () => undefined);
    this.socket.on('message', (data: Buffer) =>
      this.messages.push(JSON.parse(data.toString('utf8')) as Message),
    );
    this.closed = new Promise((resolve) => this.socket.on('close', resolve));
  }

  async open(): Promise<this> {
    await once(this.socket, 'open');
    return this;
  }

  async acknowledged(key = app.adminKey): Promise<this> {
    await this.open();
    this.send({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } });
    await this.message(({ type }) => type === 'connection_ack');
    return this;
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  async message(matches: (message: Message) => boolean): Promise<Message> {
    for (;;) {
      const found = this.messages.find(matches);
      if (found) return found;
      if (this.socket.readyState >= WebSocket.CLOSING)
        throw new Error(`Closed without such a message: ${JSON.stringify(this.messages)}`);
      await Promise.race([once(this.socket, 'message'), this.closed]);
    }
  }

  async ask(id: string, query: string, variables?: object): Promise<Message> {
    this.send({ id, type: 'subscribe', payload: { query, variables } });
    return this.message((message) => message.id === id && message.type !== 'complete');
  }
}

/** The status with which an upgrade was refused. */
async function refusal(options: { origin?: string; path?: string }): Promise<number | undefined> {
  const socket = new WebSocket(
    `${app.url.replace('http', 'ws')}${options.path ?? '/graphql'}`,
    'graphql-transport-ws',
    { origin: options.origin },
  );
  const outcome = await Promise.race([
    once(socket, 'unexpected-response').then(
      ([, response]: { statusCode?: number }[]) => response?.statusCode,
    ),
    once(socket, 'open').then(() => undefined),
  ]);
  socket.on('error', () => undefined);
  socket.terminate();
  return outcome;
}

describe('opening a WebSocket', () => {
  test.each(['https://evil.example', 'null', 'http://app.example.com', `${allowedOrigin}.evil.example`])(
    'a page of %s is refused with 403',
    async (origin) => {
      expect(await refusal({ origin })).toBe(403);
    },
  );

  test('our own pages, allowed origins and programs without an origin come in', async () => {
    for (const origin of [app.url, allowedOrigin, undefined])
      expect(await refusal({ origin })).toBeUndefined();
  });

  test('there is none at another path', async () => {
    expect(await refusal({ path: '/other' })).toBe(404);
  });

  test('who offers HTTP/2 on the way, as Java does, is answered in HTTP/1.1', async () => {
    const connection = new RawConnection(app.url);
    const offer =
      'Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\n';
    const body = JSON.stringify({ query: '{ __typename }' });
    await connection.send(
      `POST /graphql HTTP/1.1\r\n${offer}Authorization: Bearer ${app.adminKey}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    const answer = await connection.answer();
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ data: { __typename: 'Query' } });
    await connection.send(`GET /health/ready HTTP/1.1\r\n${offer}\r\n`);
    expect(await connection.answer()).toMatchObject({ status: 200 });
    connection.close();
  });

  test('peers that leave while they are being refused do no harm', async () => {
    for (let attempt = 0; attempt < 30; attempt += 1) {
      const connection = new RawConnection(app.url);
      await once(connection.socket, 'connect');
      connection.socket.write(
        'GET /other HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      );
      connection.socket.write('x'.repeat(100_000));
      connection.socket.resetAndDestroy();
    }
  });
});

test('neither peers that were refused and stay nor streams that begin late hold up the end of the server', async () => {
  const instance = await app.another();
  const { port } = new URL(instance.url);
  // Reads the answer and its end, and never ends by itself.
  const refused = async (request: string): Promise<Socket> => {
    const socket = connect({ port: Number(port), host: 'localhost', allowHalfOpen: true });
    socket.on('error', () => undefined).resume();
    socket.write(request);
    await once(socket, 'end');
    return socket;
  };
  const upgrade = 'Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';
  const peers = await Promise.all([
    refused(`GET /other HTTP/1.1\r\n${upgrade}\r\n`),
    refused(`GET /graphql HTTP/1.1\r\n${upgrade}Origin: https://evil.example\r\n\r\n`),
  ]);
  const gone = peers.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
  // Who is gone says so when told something.
  const saying = setInterval(() => peers.forEach((socket) => socket.write('still here')), 10);
  const late = once(AbortSignal.timeout(soonMs), 'abort').then(() => 'some were kept');
  const outcome = await Promise.race([Promise.all(gone).then(() => 'all are gone'), late]);
  clearInterval(saying);
  for (const socket of peers) socket.destroy();
  // A stream that was asked for, and begins when the server closes already.
  const blocker = new pg.Client({ connectionString: app.database.url });
  await blocker.connect();
  await blocker.query('BEGIN; LOCK TABLE connections IN ACCESS EXCLUSIVE MODE');
  const stream = fetch(`${instance.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${app.adminKey}`,
    },
    body: JSON.stringify({ query: subscription, variables }),
  }).then((answer) => answer.text());
  stream.catch(() => undefined);
  const waiting = `SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'connections'::regclass`;
  while ((await blocker.query(waiting)).rowCount === 0) await new Promise((resolve) => setImmediate(resolve));
  const begun = performance.now();
  const closed = instance.close();
  await blocker.query('ROLLBACK');
  await blocker.end();
  await closed;
  const closeMs = performance.now() - begun;
  await expect(stream).rejects.toThrow();
  expect(outcome).toBe('all are gone');
  expect(closeMs).toBeLessThan(soonMs);
});

describe('the protocol closes with', () => {
  test.each([
    ['a wrong key', { authorization: 'Bearer nonsense' }],
    ['no key', undefined],
    ['a key that is no text', { authorization: { a: 1 } }],
    ['a key under the name of a prototype', { __proto__: { authorization: 'x' } }],
  ])('4403 for %s', async (_name, payload) => {
    const client = await new HandWritten().open();
    client.send({ type: 'connection_init', payload });
    expect(await client.closed).toBe(4403);
  });

  test('4401 for an operation before the key', async () => {
    const client = await new HandWritten().open();
    client.send({ id: '1', type: 'subscribe', payload: { query: '{ __typename }' } });
    expect(await client.closed).toBe(4401);
  });

  test.each([
    'nonsense',
    '{}',
    '[]',
    '{"type":"unknown"}',
    '{"type":"subscribe"}',
    '{"type":"subscribe","id":"1","payload":{"query":5}}',
    '\u0000',
  ])('4400 for the message %s', async (message) => {
    const client = await new HandWritten().acknowledged();
    client.send(message);
    expect(await client.closed).toBe(4400);
  });

  test('4408 for a client that does not say who it is within ten seconds', async () => {
    const startedAt = performance.now();
    const client = await new HandWritten().open();
    expect(await client.closed).toBe(4408);
    expect(performance.now() - startedAt).toBeGreaterThan(9_000);
  });

  test('4429 for a second greeting, 4409 for an id that is in use', async () => {
    const twice = await new HandWritten().acknowledged();
    twice.send({ type: 'connection_init', payload: {} });
    expect(await twice.closed).toBe(4429);
    const client = await new HandWritten().acknowledged();
    client.send({ id: '1', type: 'subscribe', payload: { query: subscription, variables } });
    client.send({ id: '1', type: 'subscribe', payload: { query: subscription, variables } });
    expect(await client.closed).toBe(4409);
  });

  test('4406 for another subprotocol', async () => {
    const client = await new HandWritten({ protocol: 'something-else' }).open().catch(() => null);
    // The client itself gives up when the server chooses no protocol that it offered.
    expect(client).toBeNull();
  });

  test('1009 for a message above 1 MB, while one just below it is read', async () => {
    const client = await new HandWritten().acknowledged();
    const message = (length: number) => {
      const text = JSON.stringify({ type: 'ping', payload: { x: '' } });
      return text.replace('""', `"${'x'.repeat(length - text.length)}"`);
    };
    client.send(message(1_000_000));
    await client.message(({ type }) => type === 'pong');
    client.send(message(1_000_001));
    expect(await client.closed).toBe(1009);
  });
});

describe('operations over a WebSocket', () => {
  test('have the same limits and codes as over HTTP, with a request id and nothing of HTTP', async () => {
    const client = await new HandWritten({ headers: { 'x-request-id': 'socket-7' } }).acknowledged();
    const cases: [string, string][] = [
      ['{ nonsense }', 'GRAPHQL_VALIDATION_FAILED'],
      ['{ nonsense', 'GRAPHQL_PARSE_FAILED'],
      [
        `{ ${Array.from({ length: 31 }, (_, index) => `a${index}: __typename`).join(' ')} }`,
        'DOCUMENT_TOO_COMPLEX',
      ],
      ['query A { __typename } query B { __typename }', 'GRAPHQL_VALIDATION_FAILED'],
      ['{ base(connection: 999, baseId: "appABC123") { name } }', 'CONNECTION_NOT_FOUND'],
    ];
    for (const [index, [query, code]] of cases.entries()) {
      const { type, payload } = await client.ask(String(index), query);
      const errors = (type === 'error' ? payload : (payload as { errors: unknown }).errors) as {
        extensions: Record<string, unknown>;
      }[];
      expect(errors).toHaveLength(1);
      expect(errors[0]?.extensions).toMatchObject({ code, requestId: 'socket-7' });
      expect(errors[0]?.extensions).not.toHaveProperty('http');
      expect(Object.keys(errorCodes)).toContain(code);
    }
    client.socket.close();
  });

  test('are bounded in number, however fast they come', async () => {
    const client = await new HandWritten().acknowledged();
    for (let id = 1; id <= 105; id += 1) {
      client.send({
        id: String(id),
        type: 'subscribe',
        payload: { query: subscription, variables },
      });
    }
    for (let id = 101; id <= 105; id += 1) {
      const { payload } = await client.message(
        (message) => message.id === String(id) && message.type === 'error',
      );
      expect(payload).toMatchObject([
        { extensions: { code: 'SUBSCRIPTION_LIMIT', requestId: expect.any(String) } },
      ]);
    }
    client.send({ id: '1', type: 'complete' });
    const { type } = await client.ask('again', '{ __typename }');
    expect(type).toBe('next');
    client.socket.close();
  });
});
