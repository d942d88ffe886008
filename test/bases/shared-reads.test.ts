import { describe, expect, test } from '@jest/globals';
import { SharedReads } from '../../src/bases/shared-reads.ts';
import { CallMeter, type Operation } from '../../src/calendly/operation.ts';
import { AppError } from '../../src/errors.ts';

const operation = (wishes: Partial<Operation> = {}): Operation => ({
  callerId: 'test',
  priority: 'person',
  deadline: 1_000,
  meter: new CallMeter(),
  ...wishes,
});

/** A read that ends when the test says so. */
function held<T>() {
  let resolve!: (value: T) => void;
  let reject!: (reason: Error) => void;
  const promise = new Promise<T>((...settle) => ([resolve, reject] = settle));
  return { promise, resolve, reject };
}

function setup(maxAgeMs = 100, maxEntries = 3) {
  let now = 0;
  const reads = new SharedReads<string>({ clock: { now: () => now }, maxAgeMs, maxEntries });
  let sent = 0;
  const send =
    (answer = 'answer') =>
    () => {
      sent += 1;
      return Promise.resolve(answer);
    };
  return { reads, send, sent: () => sent, passMs: (ms: number) => (now += ms) };
}

describe('a shared read', () => {
  test('is sent once for all who ask meanwhile, and counted for the others', async () => {
    const { reads, send, sent } = setup();
    const askers = [operation(), operation(), operation()];
    expect(await Promise.all(askers.map((asker) => reads.read('key', asker, send())))).toEqual([
      'answer',
      'answer',
      'answer',
    ]);
    expect(sent()).toBe(1);
    expect(askers.map(({ meter }) => meter.fromCache)).toEqual([0, 1, 1]);
  });

  test('is kept for its age and no longer', async () => {
    const { reads, send, sent, passMs } = setup(100);
    await reads.read('key', operation(), send());
    passMs(100);
    await reads.read('key', operation(), send());
    expect(sent()).toBe(1);
    passMs(1);
    await reads.read('key', operation(), send());
    expect(sent()).toBe(2);
  });

  test('that has to be fresh is not the one under way, and shared by all who need it by then', async () => {
    const { reads, send, sent } = setup();
    const underWay = held<string>();
    const first = reads.read('key', operation(), () => underWay.promise);
    const afresh = Array.from({ length: 50 }, () => reads.readAfresh('key', operation(), send('fresh')));
    underWay.resolve('outdated');
    expect(await first).toBe('outdated');
    expect(new Set(await Promise.all(afresh))).toEqual(new Set(['fresh']));
    expect(sent()).toBe(1);
    expect(await reads.read('key', operation(), send())).toBe('fresh');
    await reads.readAfresh('key', operation(), send());
    expect(sent()).toBe(2);
  });

  test('of the key used longest ago makes room', async () => {
    const { reads, send, sent } = setup(100, 2);
    for (const key of ['a', 'b', 'a', 'c', 'a']) await reads.read(key, operation(), send());
    expect(sent()).toBe(3);
    await reads.read('b', operation(), send());
    expect(sent()).toBe(4);
  });

  test('that is forgotten on its way is neither joined nor kept', async () => {
    const { reads, send, sent } = setup();
    const old = held<string>();
    const first = reads.read('key', operation(), () => old.promise);
    reads.forget((key) => key === 'key');
    expect(await reads.read('key', operation(), send('new'))).toBe('new');
    old.resolve('old');
    expect(await first).toBe('old');
    expect(await reads.read('key', operation(), send('newer'))).toBe('new');
    expect(sent()).toBe(1);
  });

  test('that fails for its own reader is made again by another', async () => {
    const { reads, send } = setup();
    const failing = held<string>();
    const first = reads.read('key', operation(), () => failing.promise);
    const second = reads.read('key', operation(), send('mine'));
    failing.reject(new AppError('UPSTREAM_CALLS_EXCEEDED', 'no'));
    await expect(first).rejects.toMatchObject({ code: 'UPSTREAM_CALLS_EXCEEDED' });
    expect(await second).toBe('mine');
  });

  test('that fails for everyone fails for all, and is not kept', async () => {
    const { reads, send, sent } = setup();
    const failing = held<string>();
    const first = reads.read('key', operation(), () => failing.promise);
    const second = reads.read('key', operation(), send());
    failing.reject(new AppError('UPSTREAM_UNAVAILABLE', 'down'));
    await expect(first).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' });
    await expect(second).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' });
    expect(await reads.read('key', operation(), send())).toBe('answer');
    expect(sent()).toBe(1);
  });

  test.each([
    ['by a probing lane', { retryAfterMs: 1_000 }],
    ['by a busy gateway', { upstreamStatus: 503 }],
    ['by silence', { call: 'get base schema' }],
  ])("that ran out of its own reader's time %s is made again by one who has more", async (_, details) => {
    const { reads, send } = setup();
    const failing = held<string>();
    const first = reads.read('key', operation({ deadline: 300 }), () => failing.promise);
    const second = reads.read('key', operation({ deadline: 10_000 }), send('mine'));
    failing.reject(new AppError('UPSTREAM_UNAVAILABLE', 'not in time', { details }));
    await expect(first).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' });
    expect(await second).toBe('mine');
  });

  test('that the upstream failed for good fails for all, whatever time they have', async () => {
    const { reads, send, sent } = setup();
    const failing = held<string>();
    const first = reads.read('key', operation({ deadline: 300 }), () => failing.promise);
    const second = reads.read('key', operation({ deadline: 10_000 }), send());
    failing.reject(new AppError('UPSTREAM_UNAVAILABLE', 'down', { details: { upstreamStatus: 500 } }));
    await expect(first).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' });
    await expect(second).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' });
    expect(sent()).toBe(0);
  });

  test('is not joined by a person when the background made it', async () => {
    const { reads, send } = setup();
    const slow = held<string>();
    const first = reads.read('key', operation({ priority: 'background' }), () => slow.promise);
    expect(await reads.read('key', operation({}), send('own'))).toBe('own');
    slow.resolve('late');
    expect(await first).toBe('late');
  });

  test('is waited for no longer than the one who joined has time', async () => {
    const { reads, send } = setup();
    const slow = held<string>();
    const first = reads.read('key', operation({ deadline: 60_000 }), () => slow.promise);
    const joined = reads.read('key', operation({ deadline: 20 }), send('own'));
    await expect(joined).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    slow.resolve('late');
    expect(await first).toBe('late');
  });
});
