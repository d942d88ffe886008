import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Permits, type Grant } from '../../src/calendly/permits.ts';
import { slotsOfOthers } from '../../src/calendly/permits-schema.ts';
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

/** As if so many milliseconds had passed: what the budget has noted lies that much further back. */
async function skip(key: string, ms: number): Promise<void> {
  await database.query(
    `UPDATE rate_budgets SET
       sent = ARRAY(SELECT at - make_interval(secs => $2::float8 / 1000) FROM unnest(sent) WITH ORDINALITY AS s(at, n) ORDER BY n),
       wanted_until = ARRAY(SELECT at - make_interval(secs => $2::float8 / 1000) FROM unnest(wanted_until) WITH ORDINALITY AS w(at, n) ORDER BY n)
     WHERE key = $1`,
    [key, ms],
  );
}

describe('the shared budget', () => {
  test('a fresh key grants its allowance at once and says how long the next one takes', async () => {
    const key = newKey();
    expect(await permits.take(key, { person: 3 })).toMatchObject({
      granted: { person: 3 },
      waitMs: { person: 0 },
      paused: false,
    });
    const grant = await permits.take(key, { person: 3 });
    expect(grant).toMatchObject({ granted: { person: 2 }, paused: false });
    expect(grant.waitMs.person).toBeGreaterThan(0);
    expect(grant.waitMs.person).toBeLessThanOrEqual(windowMs);
    expect((await permits.take(key, { person: 1 })).granted.person).toBe(0);
  });

  test('after the time that was told, the next one is granted, and not before', async () => {
    const key = newKey();
    await permits.take(key, { person: calls });
    const { waitMs } = await permits.take(key, { person: 1 });
    await sleep(Math.ceil(waitMs.person) + 1);
    expect((await permits.take(key, { person: 1 })).granted.person).toBe(1);
  });

  test('an idle time is not saved up: the burst after it is the allowance', async () => {
    const key = newKey();
    await permits.take(key, { person: 1 });
    await skip(key, windowMs * 2);
    expect((await permits.take(key, { person: 100 })).granted.person).toBe(calls);
    expect((await permits.take(key, { person: 100 })).granted.person).toBe(0);
  });

  test('what nobody has used for an hour is forgotten, and nothing else', async () => {
    const [idle, used, paused] = [newKey(), newKey(), newKey()];
    for (const key of [idle, used, paused]) await permits.take(key, { person: 1 });
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
      const taking = log.take(key, { person: calls });
      while (!(await isWaiting('FROM take_permits')));
      await client.query('COMMIT');
      await pruning;
      expect((await taking).granted.person).toBe(calls);
      expect((await log.take(key, { person: calls })).granted.person).toBe(0);
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
        const grant: Grant = await permits.take(key, { person: 2 });
        if (grant.granted.person > 0)
          granted.push({ at: Date.parse(grant.grantedAt), count: grant.granted.person });
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
      const grants = await Promise.all(Array.from({ length: 8 }, () => permits.take(key, { person: 2 })));
      expect(grants.reduce((sum, { granted }) => sum + granted.person, 0)).toBe(calls);
    }
  });

  test('background work never takes the whole allowance at once, and loses none of it', async () => {
    const key = newKey();
    const startedAt = performance.now();
    /** In milliseconds. What passes without being waited for shortens what is left to wait, on a busy machine by more. */
    const granted: { waited: number; passed: number }[] = [];
    let waited = 0;
    while (granted.length < 2 * calls) {
      const grant = await permits.take(key, { background: 100 });
      expect(grant.granted.background).toBeLessThanOrEqual(1);
      if (grant.granted.background === 1)
        granted.push({ waited, passed: waited + performance.now() - startedAt });
      // Somebody who comes right after a burst.
      if (granted.length === calls) expect(grant.waitMs.person).toBeLessThan(windowMs * 0.65);
      const waitMs = Math.ceil(grant.waitMs.background);
      await skip(key, waitMs);
      waited += waitMs;
    }
    expect(granted[calls - 1]?.passed).toBeGreaterThan(windowMs * 0.35);
    expect(granted[2 * calls - 1]?.waited).toBeLessThan(2 * windowMs);
  });

  test('free slots are kept from background work while people wait in another instance, but one in ten', async () => {
    const key = newKey();
    await permits.take(key, { person: calls });
    // Somebody waits for the next slot.
    const short = await permits.take(key, { person: 1 });
    expect(short.granted.person).toBe(0);
    await skip(key, Math.ceil(short.waitMs.person));
    expect(await permits.take(key, { background: 5 })).toMatchObject({
      granted: { background: 0 },
      waitMs: { person: 0, background: 20 },
    });
    expect((await permits.take(key, { person: 1 })).granted.person).toBe(1);
    await skip(key, windowMs / 5);
    expect((await permits.take(key, { background: 5 })).granted.background).toBe(1);

    const crowded = newKey();
    await permits.take(crowded, { person: calls });
    await skip(crowded, windowMs + 5);
    await permits.take(crowded, { person: 4 });
    // Nine people have gone: the tenth slot is the background's, whoever waits.
    expect(await permits.take(crowded, { person: 3, background: 3 })).toMatchObject({
      granted: { person: 0, background: 1 },
    });
  });

  test('people, drains and other background work wait everywhere: eight slots, one and one of every ten', async () => {
    const key = newKey();
    const order: string[] = [];
    while (order.length < 60) {
      const { granted, waitMs } = await permits.take(key, { person: 5, drain: 5, background: 5 });
      for (const kind of ['person', 'drain', 'background'] as const)
        order.push(...Array.from({ length: granted[kind] }, () => kind));
      await skip(key, Math.ceil(Math.min(...Object.values(waitMs))));
    }
    for (let begin = 5; begin + 10 <= order.length; begin += 5) {
      const ten = order.slice(begin, begin + 15);
      expect(ten).toContain('drain');
      expect(ten).toContain('background');
    }
    const count = (kind: string) => order.slice(0, 60).filter((one) => one === kind).length;
    expect(count('drain')).toBeGreaterThanOrEqual(6);
    expect(count('background')).toBeGreaterThanOrEqual(5);
    expect(count('person')).toBeGreaterThanOrEqual(44);
  });

  test('a drain whose turn has come finds its slot kept, though people of another instance ask first', async () => {
    const key = newKey();
    let slots = 0;
    let drains = 0;
    let mostBetween = 0;
    let between = 0;
    while (slots < 80) {
      const crowd = await permits.take(key, { person: 5, background: 5 });
      const drain = await permits.take(key, { drain: 1 });
      between += crowd.granted.person + crowd.granted.background;
      mostBetween = Math.max(mostBetween, between);
      slots += crowd.granted.person + crowd.granted.background + drain.granted.drain;
      if (drain.granted.drain > 0) {
        drains += 1;
        between = 0;
      }
      await skip(key, Math.ceil(Math.min(crowd.waitMs.person, drain.waitMs.drain)));
    }
    expect(drains).toBeGreaterThanOrEqual(slots / 10 - 1);
    // One allowance may go before the drain has said that it waits.
    expect(mostBetween).toBeLessThanOrEqual(slotsOfOthers + calls);
  });

  test('drains and other background work take turns where no people wait', async () => {
    const key = newKey();
    const order: string[] = [];
    while (order.length < 10) {
      const { granted, waitMs } = await permits.take(key, { drain: 9, background: 9 });
      if (granted.drain > 0) order.push('drain');
      if (granted.background > 0) order.push('background');
      await skip(key, Math.ceil(Math.min(waitMs.drain, waitMs.background)));
    }
    expect(order).toEqual(Array.from({ length: 5 }, () => ['drain', 'background']).flat());
  });

  test('a slot that is kept for a drain which never comes is free again a moment later', async () => {
    const key = newKey();
    await permits.take(key, { person: calls });
    await skip(key, windowMs);
    await permits.take(key, { person: 4 });
    expect((await permits.take(key, { drain: 1 })).granted.drain).toBe(1);
    await skip(key, windowMs);
    await permits.take(key, { person: calls });
    await skip(key, windowMs);
    await permits.take(key, { person: calls });
    const { waitMs } = await permits.take(key, { drain: 1 });
    await skip(key, Math.ceil(waitMs.drain));
    const kept = await permits.take(key, { person: calls });
    expect(kept).toMatchObject({ granted: { person: calls - 1 }, waitMs: { person: 20 } });
    await skip(key, 60);
    expect((await permits.take(key, { person: 1 })).granted.person).toBe(1);
  });

  test('a note about people who never came holds nobody up for long', async () => {
    const key = newKey();
    await permits.take(key, { person: calls });
    const { waitMs } = await permits.take(key, { person: 1 });
    await skip(key, Math.ceil(waitMs.person) + 60);
    expect((await permits.take(key, { background: 1 })).granted.background).toBe(1);
  });

  test('keys do not share an allowance', async () => {
    await permits.take(newKey(), { person: calls });
    expect((await permits.take(newKey(), { person: calls })).granted.person).toBe(calls);
  });

  test('a permission that is given back can be had at once', async () => {
    const key = newKey();
    const { grantedAt } = await permits.take(key, { person: calls });
    await permits.giveBack(key, grantedAt);
    expect((await permits.take(key, { person: calls })).granted.person).toBe(1);
    await permits.giveBack(key, '2020-01-01 00:00:00+00');
    expect((await permits.take(key, { person: calls })).granted.person).toBe(0);
  });

  test('a permission that was used late counts from its use', async () => {
    const key = newKey();
    const { grantedAt } = await permits.take(key, { person: 2 });
    await sleep(windowMs / 2);
    await permits.restamp(key, grantedAt);
    const [first = 0, second = 0] = await spread(key);
    expect(second - first).toBeGreaterThanOrEqual(windowMs / 2 - 1);
    await skip(key, windowMs / 2 + 5);
    expect((await permits.take(key, { person: calls })).granted.person).toBe(calls - 1);
  });

  test('a pause stops everything until it ends, and a shorter one does not shorten it', async () => {
    const key = newKey();
    await permits.take(key, { person: 1 });
    await permits.pause(key, 300);
    await permits.pause(key, 50);
    const paused = await permits.take(key, { person: 1 });
    expect(paused).toMatchObject({ granted: { person: 0 }, paused: true });
    expect(paused.waitMs.person).toBeGreaterThan(200);
    await sleep(paused.waitMs.person + 2);
    expect(await permits.take(key, { person: 1 })).toMatchObject({ granted: { person: 1 }, paused: false });
  });

  test('a pause may come before the first call', async () => {
    const key = newKey();
    await permits.pause(key, 5_000);
    expect(await permits.take(key, { person: 1 })).toMatchObject({ granted: { person: 0 }, paused: true });
  });

  test('after the clock was set back, sendings that lie ahead hold up for one window at most', async () => {
    const key = newKey();
    const ahead = "ARRAY(SELECT clock_timestamp() + interval '1 hour' FROM generate_series(1, 5))";
    await database.query(`INSERT INTO rate_budgets (key, sent) VALUES ($1, ${ahead})`, [key]);
    expect((await permits.take(key, { person: calls })).granted.person).toBe(calls);
  });
});
