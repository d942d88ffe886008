import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { SharedReads } from '../../src/bases/shared-reads.ts';
import { systemClock } from '../../src/clock.ts';
import { maxBackgroundWaiting, maxDrainsWaiting, maxWaiting } from '../../src/calendly/lane.ts';
import { maxPermissionAgeMs, Permission, thisMoment } from '../../src/calendly/permission.ts';
import { Permits, type Sql } from '../../src/calendly/permits.ts';
import { slotsOfOthers } from '../../src/calendly/permits-schema.ts';
import { RateLimiter } from '../../src/calendly/rate-limit.ts';
import type { TestDatabase } from '../support/database.ts';
import { repeats, timeLimitMs } from '../support/repeats.ts';
import { createBudgetDatabase, createOperation, logger } from './client.ts';

const calls = 5;
const windowMs = 400;
let database: TestDatabase;
let key: string;
let limiters: RateLimiter[] = [];

beforeAll(async () => {
  database = await createBudgetDatabase();
});
beforeEach(() => {
  key = `base:app${randomUUID().replaceAll('-', '')}`;
});
afterEach(() => {
  for (const limiter of limiters) limiter.close();
  limiters = [];
});
afterAll(() => database.close());

/** One more instance on the same budget. */
function createLimiter(
  sql: Sql = (text, params) => database.query(text, params),
  penaltyMs = 30_000,
): RateLimiter {
  const permits = new Permits(sql, { calls, windowMs });
  const limiter = new RateLimiter({ permits, penaltyMs, clock: systemClock, logger });
  limiters.push(limiter);
  return limiter;
}

async function use(limiter: RateLimiter, ...operation: Parameters<typeof createOperation>): Promise<number> {
  for (;;) {
    const permission = await limiter.acquire(key, createOperation(...operation));
    if (permission.use()) return performance.now();
  }
}

/** Keeps the event loop from turning, as a stopped process or a long computation does. */
function block(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

const limited = (details: object = {}) =>
  expect.objectContaining({ code: 'UPSTREAM_RATE_LIMITED', details: expect.objectContaining(details) });

describe('the rate limiter', () => {
  test('clears away unused budgets once an hour, as calls go along', async () => {
    const idle = `${key}idle`;
    const isLeft = async () =>
      (await database.query('SELECT key FROM rate_budgets WHERE key = $1', [idle])).length > 0;
    let passedMs = 0;
    const clock = { now: () => systemClock.now() + passedMs };
    const permits = new Permits((text, params) => database.query(text, params), { calls, windowMs });
    const limiter = new RateLimiter({ permits, penaltyMs: 30_000, clock, logger });
    limiters.push(limiter);
    const pass = () => use(limiter, { deadline: clock.now() + 20_000 });
    await database.query('INSERT INTO rate_budgets (key) VALUES ($1)', [idle]);
    passedMs = 59 * 60_000;
    await pass();
    expect(await isLeft()).toBe(true);
    passedMs = 60 * 60_000;
    await pass();
    while (await isLeft());
    expect(await isLeft()).toBe(false);
  });

  test('several instances together stay within the allowance and use nearly all of it', async () => {
    const instances = [createLimiter(), createLimiter(), createLimiter()];
    const startedAt = performance.now();
    const rounds = 6;
    const times = await Promise.all(
      Array.from({ length: calls * rounds }, (_, i) => use(instances[i % 3] ?? createLimiter())),
    );
    times.sort((a, b) => a - b);
    for (let i = calls; i < times.length; i += 1) {
      // The database's clock decides; what a late turn of the event loop adds is corrected there.
      expect((times[i] ?? 0) - (times[i - calls] ?? 0)).toBeGreaterThan(windowMs - 15);
    }
    const tookMs = (times.at(-1) ?? 0) - startedAt;
    expect(tookMs).toBeLessThan(((rounds - 1) * windowMs) / 0.9);
  });

  test('a call that cannot go before its deadline fails when the deadline passes, with the time to come back', async () => {
    const limiter = createLimiter();
    await Promise.all(Array.from({ length: calls }, () => use(limiter)));
    const deadline = systemClock.now() + 100;
    await expect(limiter.acquire(key, createOperation({ deadline }))).rejects.toEqual(
      limited({ retryAfterMs: expect.any(Number) }),
    );
    expect(Math.abs(systemClock.now() - deadline)).toBeLessThan(100);
  });

  test('a rest is known at once: who cannot outwait it is turned away without waiting', async () => {
    const limiter = createLimiter();
    await Promise.all(Array.from({ length: calls }, () => use(limiter)));
    const waiting = limiter.acquire(key, createOperation());
    const startedAt = performance.now();
    await limiter.pause(key, 60_000);
    await expect(waiting).rejects.toEqual(limited());
    await expect(limiter.acquire(key, createOperation())).rejects.toEqual(
      limited({ retryAfterMs: expect.any(Number) }),
    );
    await expect(createLimiter().acquire(key, createOperation())).rejects.toEqual(
      limited({ retryAfterMs: expect.any(Number) }),
    );
    expect(performance.now() - startedAt).toBeLessThan(windowMs * 2);
  });

  test('a permission granted before a rest is not used in it', async () => {
    const limiter = createLimiter();
    const permission = await limiter.acquire(key, createOperation());
    await limiter.pause(key, 60_000);
    expect(permission.use()).toBe(false);
  });

  test('after a rest of its own length, calls go again, in every instance', async () => {
    const limiter = createLimiter(undefined, 200);
    const restedAt = performance.now();
    await limiter.pause(key, null);
    const times = await Promise.all([use(limiter), use(createLimiter())]);
    for (const time of times) expect(time - restedAt).toBeGreaterThanOrEqual(199);
  });

  test.each([0, 999])('a rest of %i ms is none, and made the penalty', async (ms) => {
    const limiter = createLimiter();
    expect(await limiter.pause(key, ms)).toBe(30_000);
    await expect(limiter.acquire(key, createOperation())).rejects.toEqual(
      limited({ retryAfterMs: expect.any(Number) }),
    );
  });

  test('who aborts leaves the line, and its place goes to another', async () => {
    const limiter = createLimiter();
    await Promise.all(Array.from({ length: calls }, () => use(limiter)));
    const leaving = new AbortController();
    const reason = new Error('the browser was closed');
    const left = limiter.acquire(key, createOperation({ signal: leaving.signal }));
    const stays = limiter.acquire(key, createOperation());
    leaving.abort(reason);
    await expect(left).rejects.toBe(reason);
    expect((await stays).use()).toBe(true);
    await expect(limiter.acquire(key, createOperation({ signal: leaving.signal }))).rejects.toBe(reason);
  });

  test('permissions that are given back are had by those who wait, without waiting for the window', async () => {
    const limiter = createLimiter();
    const held: Permission[] = [];
    for (let i = 0; i < calls; i += 1) held.push(await limiter.acquire(key, createOperation()));
    const startedAt = performance.now();
    const waiting = limiter.acquire(key, createOperation());
    held[0]?.giveBack();
    held[0]?.giveBack();
    await waiting;
    expect(performance.now() - startedAt).toBeLessThan(windowMs / 2);
    await expect(limiter.acquire(key, createOperation({ deadline: systemClock.now() + 50 }))).rejects.toEqual(
      limited(),
    );
  });

  test('a process that was stopped does not send on its old permission, but gives it back', async () => {
    const limiter = createLimiter();
    const permissions = await Promise.all(
      Array.from({ length: calls }, () => limiter.acquire(key, createOperation())),
    );
    block(maxPermissionAgeMs + 20);
    expect(permissions.map((permission) => permission.use())).toEqual(permissions.map(() => false));
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: calls }, () => use(limiter)));
    expect(performance.now() - startedAt).toBeLessThan(windowMs);
  });

  test('a permission does not outlast the sleep of a machine, which no monotonic clock counts', () => {
    let returned = 0;
    const grant = {
      waitedMs: 0,
      mayPass: () => true,
      giveBack: () => (returned += 1),
      restamp: () => undefined,
    };
    const before = thisMoment();
    const slept = { ...before, wallMs: before.wallMs - maxPermissionAgeMs - 1 };
    expect(new Permission({ ...grant, askedAt: slept }).use()).toBe(false);
    expect(returned).toBe(1);
    const wasSetBack = { ...before, wallMs: before.wallMs + 60_000 };
    expect(new Permission({ ...grant, askedAt: wasSetBack }).use()).toBe(true);
  });

  test('a permission that is used late counts from its use for all instances', async () => {
    const limiter = createLimiter();
    const late = await Promise.all(
      Array.from({ length: calls }, () => limiter.acquire(key, createOperation())),
    );
    block(200);
    const usedAt = performance.now();
    expect(late.map((permission) => permission.use())).toEqual(late.map(() => true));
    expect((await use(createLimiter())) - usedAt).toBeGreaterThan(windowMs - 50);
  });

  test(
    'a drain gets its one slot in ten, whatever people and other background work of other instances do',
    async () => {
      const crowded = [createLimiter(), createLimiter()];
      let isOver = false;
      let others = 0;
      const crowd = crowded.flatMap((limiter) =>
        Array.from({ length: 24 }, async (_, index) => {
          while (!isOver) {
            const priority = index % 2 === 0 ? 'person' : 'background';
            await use(limiter, { priority, callerId: `${index}`, deadline: Date.now() + timeLimitMs });
            others += 1;
          }
        }),
      );
      const draining = createLimiter();
      await use(draining, { priority: 'drain' });
      others = 0;
      const drains = repeats({ suite: 3, long: 30 });
      for (let drained = 0; drained < drains; drained += 1) await use(draining, { priority: 'drain' });
      isOver = true;
      expect(others / drains).toBeLessThanOrEqual(repeats({ suite: 2, long: 1.1 }) * slotsOfOthers);
      for (const limiter of crowded) limiter.close();
      await Promise.allSettled(crowd);
    },
    timeLimitMs,
  );

  test('a drain finds room in a line that is full of people', async () => {
    const limiter = createLimiter();
    await Promise.all(Array.from({ length: calls }, () => use(limiter)));
    const crowd = Array.from({ length: maxWaiting }, () => limiter.acquire(key, createOperation()));
    const drains = Array.from({ length: maxDrainsWaiting }, () =>
      limiter.acquire(key, createOperation({ priority: 'drain' })),
    );
    const turnedAway = Promise.allSettled([...crowd, ...drains]);
    await expect(limiter.acquire(key, createOperation({ priority: 'drain' }))).rejects.toEqual(limited());
    expect((await Promise.race(drains)).use()).toBe(true);
    limiter.close();
    await turnedAway;
  });

  test('background work that waits behind a crowd of people gets its one slot in ten', async () => {
    const limiter = createLimiter();
    const order: string[] = [];
    const people = Array.from({ length: 14 }, () => use(limiter).then(() => order.push('person')));
    const drain = use(limiter, { priority: 'background', callerId: 'drain' }).then(() => order.push('drain'));
    await Promise.all([...people, drain]);
    expect(order.indexOf('drain')).toBeGreaterThanOrEqual(5);
    expect(order.indexOf('drain')).toBeLessThanOrEqual(10);
  });

  test('a person waits behind the background work of other instances for less than a window', async () => {
    const busy = [createLimiter(), createLimiter()];
    let isOver = false;
    let done = 0;
    const work = busy.flatMap((limiter) =>
      Array.from({ length: 10 }, async () => {
        while (!isOver) {
          await use(limiter, { priority: 'background', callerId: 'sync' });
          done += 1;
        }
      }),
    );
    const idle = createLimiter();
    const waits: number[] = [];
    const startedAt = performance.now();
    for (let i = 0; i < 8; i += 1) {
      while (performance.now() - startedAt < (i + 1) * 170) await new Promise(setImmediate);
      const cameAt = performance.now();
      waits.push((await use(idle)) - cameAt);
    }
    isOver = true;
    await Promise.all(work);
    expect(Math.max(...waits)).toBeLessThan(windowMs * 0.85);
    expect(done).toBeGreaterThan(4);
  });

  test('background work leaves room in the line for people', async () => {
    const limiter = createLimiter();
    await Promise.all(Array.from({ length: calls }, () => use(limiter)));
    const work = Array.from({ length: maxBackgroundWaiting }, () =>
      limiter.acquire(key, createOperation({ priority: 'background' })),
    );
    const turnedAway = Promise.allSettled(work);
    await expect(limiter.acquire(key, createOperation({ priority: 'background' }))).rejects.toEqual(
      limited(),
    );
    expect((await limiter.acquire(key, createOperation())).use()).toBe(true);
    limiter.close();
    await turnedAway;
  });

  test('the line of one base is bounded, and other bases are not held up by it', async () => {
    const limiter = createLimiter();
    await Promise.all(Array.from({ length: calls }, () => use(limiter)));
    const crowd = Array.from({ length: maxWaiting }, () => limiter.acquire(key, createOperation()));
    const turnedAway = Promise.allSettled(crowd);
    await expect(limiter.acquire(key, createOperation())).rejects.toEqual(
      limited({ retryAfterMs: expect.any(Number) }),
    );
    expect((await limiter.acquire('base:appOther', createOperation())).waitedMs).toBeLessThan(windowMs);
    limiter.close();
    const codes = (await turnedAway).map((end) =>
      end.status === 'rejected' ? (end.reason as { code: string }).code : 'passed',
    );
    expect(new Set(codes.slice(calls))).toEqual(new Set(['SHUTTING_DOWN']));
    await expect(limiter.acquire(key, createOperation())).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
  });

  test('without its database nothing is let through and nobody hangs', async () => {
    const limiter = createLimiter(() => Promise.reject(new Error('connection refused')));
    await expect(limiter.acquire(key, createOperation())).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
    });
  });

  test('while the upstream is down one call a second passes, and all of them once it answers', async () => {
    const limiter = createLimiter();
    for (let i = 0; i < 3; i += 1) limiter.failed(key);
    const startedAt = performance.now();
    const passed: number[] = [];
    const waiting = Array.from({ length: 3 }, () => use(limiter).then((at) => passed.push(at - startedAt)));
    await waiting[0];
    expect(passed).toHaveLength(1);
    expect(passed[0]).toBeGreaterThan(950);
    await expect(
      limiter.acquire(key, createOperation({ deadline: systemClock.now() + 100 })),
    ).rejects.toMatchObject({
      code: 'UPSTREAM_UNAVAILABLE',
    });
    limiter.answered(key);
    await Promise.all(waiting);
    expect(passed[2]).toBeLessThan(1_900);
  });

  test('a hurried reader who finds the upstream down does not fail a patient one of the same', async () => {
    const limiter = createLimiter();
    for (let i = 0; i < 3; i += 1) limiter.failed(key);
    const reads = new SharedReads<number>({ clock: systemClock, maxAgeMs: 0, maxEntries: 1 });
    const read = (leftMs: number) => {
      const operation = createOperation({ deadline: systemClock.now() + leftMs });
      return reads.read('schema', operation, () => use(limiter, operation));
    };
    const hurried = read(30);
    const patient = read(10_000);
    await expect(hurried).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' });
    limiter.answered(key);
    expect(await patient).toEqual(expect.any(Number));
  });
});
