import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { networkOf, WrongKeys } from '../../src/access/wrong-keys.ts';
import type { Clock } from '../../src/clock.ts';
import { startTestApp, type TestApp } from '../support/app.ts';

let nowMs = 1_000_000;
const clock: Clock = { now: () => nowMs };

describe('counting wrong keys', () => {
  const wrong = (keys: WrongKeys, address: string, times: number) => {
    for (let n = 0; n < times; n += 1) keys.count(address);
  };

  test('the twentieth stops an address, and no other, until a minute after its first', () => {
    const keys = new WrongKeys(clock);
    const start = nowMs;
    wrong(keys, '203.0.113.7', 19);
    expect(keys.stoppedForMs('203.0.113.7')).toBe(0);
    nowMs += 10_000;
    wrong(keys, '203.0.113.7', 1);
    expect(keys.stoppedForMs('203.0.113.7')).toBe(50_000);
    expect(keys.stoppedForMs('203.0.113.8')).toBe(0);
    nowMs = start + 60_000;
    expect(keys.stoppedForMs('203.0.113.7')).toBe(0);
    wrong(keys, '203.0.113.7', 19);
    expect(keys.stoppedForMs('203.0.113.7')).toBe(0);
  });

  test('when the clock of the machine is set back, nobody is stopped for longer', () => {
    const machine = { wallMs: 10_000_000, passedMs: 5_000 };
    const keys = new WrongKeys({ now: () => machine.wallMs, monotonic: () => machine.passedMs });
    wrong(keys, '203.0.113.7', 20);
    machine.wallMs -= 3_600_000;
    machine.passedMs += 20_000;
    expect(keys.stoppedForMs('203.0.113.7')).toBe(40_000);
  });

  test('ten thousand addresses are counted; then the oldest count is forgotten', () => {
    const keys = new WrongKeys(clock);
    wrong(keys, 'first', 20);
    wrong(keys, 'second', 20);
    for (let n = 0; n < 9_999; n += 1) keys.count(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
    expect(keys.stoppedForMs('first')).toBe(0);
    expect(keys.stoppedForMs('second')).toBeGreaterThan(0);
  });

  test.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:0DB8:1:2::9', '2001:db8:1:2'],
    ['2001:db8::9', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
  ])('%s is counted as %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});

describe('a server that is sent wrong keys', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ clock });
  });
  afterAll(() => app.close());

  const closeCode = async (key: string) => {
    const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } }));
    const [code] = (await once(socket, 'close')) as [number];
    return code;
  };

  test('answers 429 after twenty, whatever they say of where they come from; keys that were in use still work', async () => {
    const { key: known, apiKey } = await app.app.keys.issue({
      name: 'Known',
      role: 'viewer',
      connectionIds: null,
      baseIds: null,
      expiresAt: null,
    });
    const unknown = await app.app.keys.create('Not used yet', 'viewer');
    expect((await app.graphql('{ __typename }', {}, { key: known })).status).toBe(200);
    for (let n = 0; n < 5; n += 1)
      expect((await app.graphql('{ __typename }', {}, { key: null })).status).toBe(401);
    for (let n = 0; n < 20; n += 1) {
      const headers = { 'x-forwarded-for': `203.0.113.${n}`, forwarded: `for=203.0.113.${n}` };
      expect((await app.graphql('{ __typename }', {}, { key: `wrong${n}`, headers })).status).toBe(401);
    }
    const refused = await app.graphql('{ __typename }', {}, { key: 'wrong' });
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('60');
    expect(refused.errors?.[0]?.extensions).toMatchObject({
      code: 'TOO_MANY_ATTEMPTS',
      retryAfterMs: 60_000,
    });
    expect((await app.graphql('{ __typename }', {}, { key: unknown })).status).toBe(429);
    expect(await closeCode(unknown)).toBe(1013);
    const metrics = await fetch(`${app.url}/metrics`, {
      headers: { authorization: `Bearer ${unknown}`, 'x-forwarded-for': '203.0.113.7' },
    });
    expect([metrics.status, metrics.headers.get('retry-after')]).toEqual([429, '60']);

    expect((await app.graphql('{ __typename }', {}, { key: known })).status).toBe(200);
    await app.app.keys.revoke(apiKey.id);
    expect((await app.graphql('{ __typename }', {}, { key: known })).status).toBe(401);
    expect((await app.graphql('{ __typename }', {}, { key: known })).status).toBe(429);

    nowMs += 60_000;
    expect((await app.graphql('{ __typename }', {}, { key: unknown })).status).toBe(200);
    expect((await app.graphql('{ __typename }', {}, { key: 'wrong' })).status).toBe(401);
    expect(await closeCode('wrong')).toBe(4403);
  });
});
