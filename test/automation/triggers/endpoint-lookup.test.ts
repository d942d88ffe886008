import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createSocket, type Socket } from 'node:dgram';
import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { once, setMaxListeners } from 'node:events';
import { promisify } from 'node:util';
import { endpointLookup } from '../../../src/automation/triggers/endpoint-lookup.ts';
import { until } from '../../support/ping-receiver.ts';

const aRecord = 1;

let server: Socket;
let closing: AbortController;
let asked: Set<string>;
/** What the server says of a name: addresses, nothing of the kind, no such name, or not a word. */
let answer: (name: string) => string[] | 'no such name' | 'silence';

beforeEach(async () => {
  asked = new Set();
  closing = new AbortController();
  setMaxListeners(0, closing.signal);
  server = createSocket('udp4', (query, { port, address }) => {
    const { name, type, end } = questionIn(query);
    asked.add(name);
    const told = answer(name);
    if (told === 'silence') return;
    const addresses = told !== 'no such name' && type === aRecord ? told : [];
    const header = Buffer.from(query.subarray(0, 12));
    header.writeUInt16BE(told === 'no such name' ? 0x8183 : 0x8180, 2);
    header.writeUInt16BE(addresses.length, 6);
    header.writeUInt16BE(0, 10);
    const records = addresses.map((one) =>
      Buffer.from([0xc0, 12, 0, aRecord, 0, 1, 0, 0, 0, 60, 0, 4, ...one.split('.').map(Number)]),
    );
    server.send(Buffer.concat([header, query.subarray(12, end), ...records]), port, address);
  });
  await once(server.bind(0, '127.0.0.1'), 'listening');
});
afterEach(async () => {
  closing.abort();
  server.close();
  await once(server, 'close');
});

function questionIn(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.'), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function find(name: string): Promise<string | LookupAddress[]> {
  const lookup = endpointLookup(closing.signal, [`127.0.0.1:${server.address().port}`]);
  return new Promise((resolve) =>
    lookup(name, { all: true }, (error, found) => resolve(error?.code ?? found)),
  );
}

test('a name is looked up at the servers of DNS, and what they do not know in the files of the system', async () => {
  answer = (name) => (name === 'hooks.test' ? ['192.0.2.1', '192.0.2.2'] : 'no such name');
  expect(await find('hooks.test')).toEqual(
    ['192.0.2.1', '192.0.2.2'].map((address) => ({ address, family: 4 })),
  );
  expect(await find('localhost')).toContainEqual({ address: '127.0.0.1', family: 4 });
  expect(asked).toEqual(new Set(['hooks.test', 'localhost']));
});

test('names whose servers keep silent hold up nobody who looks up another, and end with the server', async () => {
  answer = (name) => (name === 'hooks.test' ? ['192.0.2.1'] : 'silence');
  const silent = Array.from({ length: 50 }, (_, index) => find(`silent-${index}.test`));
  await until('all are asked for', () => asked.size === 50);
  const startedAt = performance.now();
  expect(await find('hooks.test')).toHaveLength(1);
  expect(await promisify(systemLookup)('localhost')).toMatchObject({ family: expect.any(Number) });
  expect(performance.now() - startedAt).toBeLessThan(1_000);
  closing.abort();
  expect(new Set(await Promise.all(silent))).toEqual(new Set(['ECANCELLED']));
});
