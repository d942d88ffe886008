import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createServer, type LookupFunction, type Socket } from 'node:net';
import { lookup as systemLookup } from 'node:dns';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { isPublicAddress } from '../../../src/automation/triggers/endpoint-address.ts';
import { EndpointClient, type EndpointAttempt } from '../../../src/automation/triggers/endpoint-client.ts';
import type { EndpointRules } from '../../../src/config.ts';
import { newSecret, signedHeaders } from '../../../src/automation/triggers/signature.ts';
import { EndpointServer, status } from './endpoint-server.ts';
import { hostileNames, hostileUrls } from './hostile-urls.ts';

const never = new AbortController().signal;
const message = { headers: { 'webhook-id': 'evt_1' }, body: '{"type":"test"}' };

const receiver = new EndpointServer();
const receiver6 = new EndpointServer('::1');
const clients: EndpointClient[] = [];

function clientWith(rules: Partial<EndpointRules>): EndpointClient {
  const client = new EndpointClient({ allowedHosts: [], requireHttps: false, lookup: null, ...rules });
  clients.push(client);
  return client;
}

const strict = clientWith({ lookup: answering((name) => hostileNames[name] ?? null) });
const local = clientWith({ allowedHosts: ['127.0.0.1'] });

/** DNS as a test says; null leaves it to the system. */
function answering(find: (name: string) => string[] | null): LookupFunction {
  return (hostname, options, callback) => {
    const found = find(hostname);
    if (found === null) return systemLookup(hostname, options, callback);
    const addresses = found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    callback(null, options.all ? addresses : (addresses[0]?.address ?? ''), addresses[0]?.family);
  };
}

beforeAll(async () => {
  await receiver.start();
  receiver6.port = receiver.port;
  await receiver6.start();
});
beforeEach(() => {
  receiver.reset();
  receiver6.reset();
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all([receiver.close(), receiver6.close()]);
});

/** Writes a piece again and again, as long as it is listened to. */
function dribble(socket: Socket, beginning: string, piece: string): void {
  socket.write(beginning);
  const timer = setInterval(() => socket.write(piece), 20);
  socket.on('close', () => clearInterval(timer));
}

const post = (client: EndpointClient, url: string): Promise<EndpointAttempt> =>
  client.post(url, message, never);

describe('where it goes', () => {
  test('no hostile URL reaches anybody', async () => {
    expect(hostileUrls.length).toBeGreaterThanOrEqual(60);
    const reached: string[] = [];
    for (const template of hostileUrls) {
      const url = template.replaceAll('PORT', String(receiver.port));
      const { error, answer } = await post(strict, url);
      if (error?.code !== 'ENDPOINT_FORBIDDEN' || answer !== null) reached.push(`${url}: ${error?.code}`);
    }
    expect(reached).toEqual([]);
    expect({ v4: receiver.sockets, v6: receiver6.sockets }).toEqual({ v4: 0, v6: 0 });
  });

  test('the same server is reached where its host is allowed, and then at that port alone if one is named', async () => {
    const atPort = clientWith({ allowedHosts: [`127.0.0.1:${receiver.port}`, `[::1]:${receiver.port}`] });
    for (const client of [local, atPort]) expect((await post(client, receiver.url)).error).toBeNull();
    expect((await post(atPort, receiver6.url)).error).toBeNull();
    expect((await post(atPort, 'http://127.0.0.1:1/')).error?.code).toBe('ENDPOINT_FORBIDDEN');
    expect((await post(local, receiver6.url)).error?.code).toBe('ENDPOINT_FORBIDDEN');
  });

  test('a name that turns private between two looks is looked up once for each connect, and judged by that answer', async () => {
    let looks = 0;
    // No machine of a test is connected to this one.
    const turning = clientWith({
      lookup: answering(() => ((looks += 1) === 1 ? ['2001:4860:4860::ffff'] : ['127.0.0.1'])),
    });
    const url = `http://turning.test:${receiver.port}/`;
    await turning.post(url, message, AbortSignal.timeout(100));
    expect(looks).toBe(1);
    expect((await post(turning, url)).error?.code).toBe('ENDPOINT_FORBIDDEN');
    expect(looks).toBe(2);
    expect(receiver.sockets).toBe(0);
  });

  test('an address that turns private after it was judged gets a connection at most, and nothing is written to it', async () => {
    let reads = 0;
    const turning = {
      get address(): string {
        return (reads += 1) === 1 ? '93.184.215.14' : '127.0.0.1';
      },
      family: 4,
    };
    const client = clientWith({ lookup: (_name, _options, callback) => callback(null, [turning]) });
    const { error } = await post(client, `http://turning.test:${receiver.port}/`);
    expect(error?.code).toBe('ENDPOINT_FORBIDDEN');
    expect(reads).toBeGreaterThan(1);
    expect(receiver.deliveries).toEqual([]);
  });

  test('a lookup that is not asked for all addresses is judged as well', async () => {
    const single = clientWith({ lookup: (_name, _options, callback) => callback(null, '10.1.2.3', 4) });
    expect((await post(single, 'http://single.test/')).error?.code).toBe('ENDPOINT_FORBIDDEN');
  });

  test('plain http is refused in production, but for allowed hosts', async () => {
    const production = clientWith({ requireHttps: true, allowedHosts: ['127.0.0.1'] });
    expect(() => production.readUrl('http://example.com/')).toThrow(/must begin with https/);
    expect(production.readUrl('https://example.com/a?b#c').href).toBe('https://example.com/a?b');
    expect((await post(production, receiver.url)).error).toBeNull();
  });

  test.each(['8.8.8.8', '1.1.1.1', '93.184.215.14', '172.32.0.1', '100.128.0.1', '2606:4700:4700::1111'])(
    '%s is public, in whatever it is carried',
    (address) => {
      expect(isPublicAddress(address)).toBe(true);
      if (!address.includes(':')) {
        for (const prefix of ['::ffff:', '64:ff9b::']) expect(isPublicAddress(prefix + address)).toBe(true);
      }
    },
  );
});

describe('what comes back', () => {
  test.each([200, 201, 202, 204, 299])('%i says that it was taken', async (code) => {
    receiver.answer = status(code, code === 204 ? '' : 'thanks');
    const { error, answer } = await post(local, receiver.url);
    expect(error).toBeNull();
    expect(answer).toMatchObject({ status: code, excerpt: code === 204 ? '' : 'thanks' });
    expect(receiver.deliveries[0]).toMatchObject({ body: message.body, url: '/hook' });
    expect(receiver.deliveries[0]?.headers).toMatchObject({
      'webhook-id': 'evt_1',
      'content-type': 'application/json',
    });
  });

  test('a redirect is a failure, and is not followed', async () => {
    for (const code of [301, 302, 303, 307, 308]) {
      receiver.answer = status(code, '', { location: `http://127.0.0.1:${receiver.port}/inside` });
      const { error, answer } = await post(local, receiver.url);
      expect(answer?.status).toBe(code);
      expect(error).toMatchObject({
        code: 'ENDPOINT_REFUSED',
        message: expect.stringContaining('a redirect to another path of the same host'),
      });
    }
    expect(receiver.deliveries.map(({ url }) => url)).toEqual(Array(5).fill('/hook'));
  });

  test.each([
    [
      'https://ada:pa55word@elsewhere.example:8443/t0ken?key=t0ken#t0ken',
      ' to https://elsewhere.example:8443,',
    ],
    ['//elsewhere.example/t0ken', ' to http://elsewhere.example,'],
    ['/t0ken?key=t0ken', ' to another path of the same host,'],
    ['http://[t0ken', 'a redirect, which'],
  ])('of a redirect to %s only the host is told', async (location, expected) => {
    receiver.answer = status(308, '', { location });
    const { error } = await post(local, receiver.url);
    expect(error?.message).toContain(expected);
    expect(error?.message).not.toMatch(/t0ken|pa55word|ada/);
  });

  test.each([
    ['seconds', '7', 7_000],
    ['nonsense', 'soon', null],
    ['a moment that is over', 'Wed, 21 Oct 2015 07:28:00 GMT', 0],
  ])('a failure tells for how long to wait, in %s', async (_in, header, expected) => {
    receiver.answer = status(503, 'later', { 'retry-after': header });
    const { error, answer } = await post(local, receiver.url);
    expect(error?.code).toBe('ENDPOINT_REFUSED');
    expect(answer?.retryAfterMs).toBe(expected);
  });

  test('of an answer without end no more than a little is read, and its status counts', async () => {
    let written = 0;
    receiver.answer = (response) => {
      response.writeHead(200, { 'content-length': String(2_000_000_000) });
      const chunk = Buffer.alloc(65_536, 'x');
      const more = (): void => {
        while (!response.destroyed && written < 2_000_000_000) {
          written += chunk.length;
          if (!response.write(chunk)) break;
        }
      };
      response.on('drain', more);
      more();
    };
    const { error, answer } = await post(local, receiver.url);
    expect(error).toBeNull();
    expect(answer?.excerpt).toBe('x'.repeat(1_024));
    expect(written).toBeLessThan(20_000_000);
  });

  test('what cannot be shown of an answer is replaced', async () => {
    receiver.answer = (response) => response.writeHead(500).end(Buffer.from([0x41, 0x00, 0xff, 0x1b, 0x42]));
    expect((await post(local, receiver.url)).answer?.excerpt).toBe('A\ufffd\ufffd\ufffdB');
  });

  test.each<[string, (socket: Socket) => void, string]>([
    ['garbage', (socket) => socket.end('\x00\x01 hello there\r\n\r\n'), 'ENDPOINT_UNREACHABLE'],
    ['another protocol', (socket) => socket.end('SSH-2.0-OpenSSH_9.6\r\n'), 'ENDPOINT_UNREACHABLE'],
    ['nothing', (socket) => socket.destroy(), 'ENDPOINT_UNREACHABLE'],
    [
      'headers without end',
      (socket) => socket.write(`HTTP/1.1 200 OK\r\n${'X-A: b\r\n'.repeat(20_000)}`),
      'ENDPOINT_UNREACHABLE',
    ],
    ['half an answer', (socket) => socket.end('HTTP/1.1 20'), 'ENDPOINT_UNREACHABLE'],
  ])('%s is a failure like any other', async (_what, act, code) => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => undefined));
      socket.once('data', () => act(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { error, answer } = await post(
      local,
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    );
    expect({ code: error?.code, answer }).toEqual({ code, answer: null });
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });

  test('a body that breaks off does not undo its status', async () => {
    receiver.answer = (response) => {
      response.writeHead(200, { 'content-length': '100' }).write('half');
      setImmediate(() => response.destroy());
    };
    const { error, answer } = await post(local, receiver.url);
    expect(error).toBeNull();
    expect(answer?.excerpt).toMatch(/^(half)?$/);
  });

  test('the end of the server ends the wait for an endpoint that hangs', async () => {
    receiver.answer = () => undefined;
    const stopping = new AbortController();
    const attempt = local.post(receiver.url, message, stopping.signal);
    while (receiver.deliveries.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    stopping.abort();
    expect((await attempt).error?.code).toBe('SHUTTING_DOWN');
  });

  test.each<[string, (socket: Socket) => void]>([
    ['says nothing', () => undefined],
    ['dribbles a header that never ends', (socket) => dribble(socket, 'HTTP/1.1 200 OK\r\nX-A: ', 'a')],
  ])('an endpoint that %s has failed after its time', async (_what, act) => {
    const hurried = new EndpointClient(
      { allowedHosts: ['127.0.0.1'], requireHttps: false, lookup: null },
      200,
    );
    clients.push(hurried);
    const server = createServer(
      (socket) => void socket.on('error', () => undefined).once('data', () => act(socket)),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const attempt = await post(hurried, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    expect(attempt).toMatchObject({ answer: null, error: { code: 'ENDPOINT_TIMED_OUT' } });
    expect(attempt.durationMs).toBeGreaterThanOrEqual(200);
    // Its socket is gone as well.
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });

  test('nobody there', async () => {
    const gone = await new EndpointServer().start();
    const { url } = gone;
    await gone.close();
    const { error } = await post(local, url);
    expect(error).toMatchObject({
      code: 'ENDPOINT_UNREACHABLE',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });
});

describe('signatures', () => {
  const at = new Date();
  const body = JSON.stringify({ type: 'record.created', data: { name: 'Žofie 🎉' } });

  test('are verified by the library of the specification, with each secret that is valid, and no other', () => {
    const [older, newer] = [newSecret(), newSecret()];
    const headers = signedHeaders({ id: 'evt_1', at, body }, [newer, older]);
    for (const secret of [older, newer]) {
      expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body));
      expect(() => new Webhook(secret).verify(`${body} `, headers)).toThrow('No matching signature');
      expect(() => new Webhook(secret).verify(body, { ...headers, 'webhook-id': 'evt_2' })).toThrow();
    }
    expect(() => new Webhook(newSecret()).verify(body, headers)).toThrow('No matching signature');
    expect(headers['webhook-signature']).toMatch(/^v1,[A-Za-z0-9+/]{43}= v1,[A-Za-z0-9+/]{43}=$/);
  });

  test('secrets have the length that the specification asks for, and are never the same', () => {
    const secrets = Array.from({ length: 100 }, () => newSecret());
    expect(new Set(secrets).size).toBe(100);
    for (const secret of secrets)
      expect(Buffer.from(secret.slice(6), 'base64').length).toBeGreaterThanOrEqual(24);
  });
});
