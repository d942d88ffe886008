import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Permits, type Grant } from '../../src/calendly/permits.ts';
import type { TestDatabase } from '../support/database.ts';
import { createBudgetDatabase } from './client.ts';

const calls = 5;
const windowMs = 400;
let database: TestDatabase;
let permits: Permits;

beforeAll(async () => {
  database = await createBudgetDatabase();
  permits = new Permits((text, params) => database.query(text, params), { calls, windowMs });
});
afterAll(() => database.close());

const newKey = (): string => `base:app${randomUUID().replaceAll('-', '')}`;

async function spread(key: string): Promise<number[]> {
  const rows = await database.query(
    'SELECT extract(epoch FROM at)::float8 * 1000 AS ms FROM rate_budgets, unnest(sent) AS at WHERE key = $1 ORDER BY at',
    [key],
  );
  return rows.map((row) => Number(row.ms));
}

describe('the shared budget', () => {
  test('a fresh key grants its allowance at once and says how long the next one takes', async () => {
    const key = newKey();
    expect(await permits.take(key, 3)).toMatchObject({ granted: 3, waitMs: 0, paused: false });
    const grant = await permits.take(key, 3);
    expect(grant).toMatchObject({ granted: 2, paused: false });
    expect(grant.waitMs).toBeGreaterThan(0);
    expect(grant.waitMs).toBeLessThanOrEqual(windowMs);
    expect((await permits.take(key, 1)).granted).toBe(0);
  });

  test('after the time that was told, the next one is granted, and not before', async () => {
    const key = newKey();
    await permits.take(key, calls);
    const { waitMs } = await permits.take(key, 1);
    await sleep(Math.ceil(waitMs) + 1);
    expect((await permits.take(key, 1)).granted).toBe(1);
  });

  test('an idle time is not saved up: the burst after it is the allowance', async () => {
    const key = newKey();
    await permits.take(key, 1);
    await sleep(windowMs * 2);
    expect((await permits.take(key, 100)).granted).toBe(calls);
    expect((await permits.take(key, 100)).granted).toBe(0);
  });

  test('what nobody has used for an hour is forgotten, and nothing else', async () => {
    const [idle, used, paused] = [newKey(), newKey(), newKey()];
    for (const key of [idle, used, paused]) await permits.take(key, 1);
    await permits.pause(paused, 60_000);
    await database.query(
      `UPDATE rate_budgets SET sent = ARRAY[now() - interval '61 minutes'] WHERE key = ANY ($1)`,
      [[idle, paused]],
    );
    await permits.prune();
    const left = await database.query('SELECT key FROM rate_budgets WHERE key = ANY ($1)', [
      [idle, used, paused],
    ]);
    expect(left.map(({ key }) => key).sort()).toEqual([used, paused].sort());
  });

  test('a call that comes while its budget is being forgotten is on the log all the same', async () => {
    const key = newKey();
    await database.query('INSERT INTO rate_budgets (key) VALUES ($1)', [key]);
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    const isWaiting = async (what: string) => {
      const rows = await database.query(
        `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE $1`,
        [`%${what}%`],
      );
      return rows.length > 0;
    };
    const log = new Permits((text, params) => database.query(text, params), { calls, windowMs: 60_000 });
    try {
      // Whoever holds the row lets both queue up in the worst order.
      await client.query('BEGIN');
      await client.query('SELECT FROM rate_budgets WHERE key = $1 FOR UPDATE', [key]);
      const pruning = log.prune();
      while (!(await isWaiting('DELETE FROM rate_budgets')));
      const taking = log.take(key, calls);
      while (!(await isWaiting('FROM take_permits')));
      await client.query('COMMIT');
      await pruning;
      expect((await taking).granted).toBe(calls);
      expect((await log.take(key, calls)).granted).toBe(0);
    } finally {
      await client.end();
    }
  });

  test('however many ask at once, no window holds more than the allowance', async () => {
    const key = newKey();
    const granted: { at: number; count: number }[] = [];
    const until = performance.now() + windowMs * 4;
    const hungry = async (): Promise<void> => {
      while (performance.now() < until) {
        const grant: Grant = await permits.take(key, 2);
        if (grant.granted > 0) granted.push({ at: Date.parse(grant.grantedAt), count: grant.granted });
      }
    };
    await Promise.all(Array.from({ length: 8 }, hungry));
    const times = granted
      .flatMap(({ at, count }) => Array.from({ length: count }, () => at))
      .sort((a, b) => a - b);
    expect(times.length).toBeGreaterThanOrEqual(calls * 3);
    for (let i = calls; i < times.length; i += 1) {
      // Parsed to whole milliseconds, so one may be lost to rounding.
      expect((times[i] ?? 0) - (times[i - calls] ?? 0)).toBeGreaterThanOrEqual(windowMs - 1);
    }
  });

  test('those who ask in the same instant share one allowance', async () => {
    for (let round = 0; round < 40; round += 1) {
      const key = newKey();
      await database.query('INSERT INTO rate_budgets (key) VALUES ($1)', [key]);
      const grants = await Promise.all(Array.from({ length: 8 }, () => permits.take(key, 2)));
      expect(grants.reduce((sum, { granted }) => sum + granted, 0)).toBe(calls);
    }
  });

  test('background work never takes the whole allowance at once, and loses none of it', async () => {
    const key = newKey();
    const startedAt = performance.now();
    const granted: number[] = [];
    while (granted.length < 2 * calls) {
      const grant = await permits.take(key, 0, 100);
      expect(grant.grantedToBackground).toBeLessThanOrEqual(1);
      if (grant.grantedToBackground === 1) granted.push(performance.now() - startedAt);
      // Somebody who comes right after a burst.
      if (granted.length === calls) expect(grant.waitMs).toBeLessThan(windowMs * 0.65);
      await sleep(Math.ceil(grant.backgroundWaitMs));
    }
    expect(granted[calls - 1]).toBeGreaterThan(windowMs * 0.35);
    expect(granted[2 * calls - 1]).toBeLessThan(2 * windowMs);
  });

  test('free slots are kept from background work while people wait in another instance, but one in ten', async () => {
    const key = newKey();
    await permits.take(key, calls);
    // Somebody waits for the next slot.
    const short = await permits.take(key, 1);
    expect(short.granted).toBe(0);
    await sleep(Math.ceil(short.waitMs));
    expect(await permits.take(key, 0, 5)).toMatchObject({
      grantedToBackground: 0,
      waitMs: 0,
      backgroundWaitMs: 20,
    });
    expect((await permits.take(key, 1)).granted).toBe(1);
    await sleep(windowMs / 5);
    expect((await permits.take(key, 0, 5)).grantedToBackground).toBe(1);

    const crowded = newKey();
    await permits.take(crowded, calls);
    await sleep(windowMs + 5);
    await permits.take(crowded, 4);
    // Nine people have gone: the tenth slot is the background's, whoever waits.
    expect(await permits.take(crowded, 3, 3)).toMatchObject({ granted: 0, grantedToBackground: 1 });
  });

  test('a note about people who never came holds nobody up for long', async () => {
    const key = newKey();
    await permits.take(key, calls);
    const { waitMs } = await permits.take(key, 1);
    await sleep(Math.ceil(waitMs) + 60);
    expect((await permits.take(key, 0, 1)).grantedToBackground).toBe(1);
  });

  test('keys do not share an allowance', async () => {
    await permits.take(newKey(), calls);
    expect((await permits.take(newKey(), calls)).granted).toBe(calls);
  });

  test('a permission that is given back can be had at once', async () => {
    const key = newKey();
    const { grantedAt } = await permits.take(key, calls);
    await permits.giveBack(key, grantedAt);
    expect((await permits.take(key, calls)).granted).toBe(1);
    await permits.giveBack(key, '2020-01-01 00:00:00+00');
    expect((await permits.take(key, calls)).granted).toBe(0);
  });

  test('a permission that was used late counts from its use', async () => {
    const key = newKey();
    const { grantedAt } = await permits.take(key, 2);
    await sleep(windowMs / 2);
    await permits.restamp(key, grantedAt);
    const [first = 0, second = 0] = await spread(key);
    expect(second - first).toBeGreaterThanOrEqual(windowMs / 2 - 1);
    await sleep(windowMs / 2 + 5);
    expect((await permits.take(key, calls)).granted).toBe(calls - 1);
  });

  test('a pause stops everything until it ends, and a shorter one does not shorten it', async () => {
    const key = newKey();
    await permits.take(key, 1);
    await permits.pause(key, 300);
    await permits.pause(key, 50);
    const paused = await permits.take(key, 1);
    expect(paused).toMatchObject({ granted: 0, paused: true });
    expect(paused.waitMs).toBeGreaterThan(200);
    await sleep(paused.waitMs + 2);
    expect(await permits.take(key, 1)).toMatchObject({ granted: 1, paused: false });
  });

  test('a pause may come before the first call', async () => {
    const key = newKey();
    await permits.pause(key, 5_000);
    expect(await permits.take(key, 1)).toMatchObject({ granted: 0, paused: true });
  });

  test('after the clock was set back, sendings that lie ahead hold up for one window at most', async () => {
    const key = newKey();
    const ahead = "ARRAY(SELECT clock_timestamp() + interval '1 hour' FROM generate_series(1, 5))";
    await database.query(`INSERT INTO rate_budgets (key, sent) VALUES ($1, ${ahead})`, [key]);
    expect((await permits.take(key, calls)).granted).toBe(calls);
  });
});
