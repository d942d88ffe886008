import { expect, test } from '@jest/globals';
import pg from 'pg';
import { systemClock } from '../../../src/clock.ts';
import { queryWithin } from '../../../src/records/copies/bounded-statement.ts';
import { CuttableProxy } from '../../support/cuttable-proxy.ts';
import { createTestDatabase } from '../../support/database.ts';

const sleep = { text: 'SELECT pg_sleep(20)' };

test('a deadline ends a statement however early it comes, while others hold all connections', async () => {
  const database = await createTestDatabase();
  const pool = new pg.Pool({ connectionString: database.url, max: 4 });
  // Dropping the database may find connections that are still about to end.
  pool.on('error', () => undefined);
  try {
    const begun = performance.now();
    const statements = Array.from({ length: 80 }, (_, n) => {
      const within = { deadline: systemClock.now() + (n % 8) * 50 + (n % 4) };
      return queryWithin(pool, sleep, within, systemClock);
    });
    const ends = await Promise.allSettled(statements);
    for (const end of ends) expect(end).toMatchObject({ reason: { code: 'DEADLINE_EXCEEDED' } });
    // One that missed its word would sleep on.
    expect(performance.now() - begun).toBeLessThan(15_000);
    const aborts = Array.from({ length: 12 }, async (_, n) => {
      const stop = new AbortController();
      const within = { deadline: systemClock.now() + 60_000, signal: stop.signal };
      const asked = queryWithin(pool, sleep, within, systemClock);
      setTimeout(() => stop.abort(new Error('gone')), n % 4);
      await expect(asked).rejects.toThrow('gone');
    });
    await Promise.all(aborts);
    expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  } finally {
    await pool.end();
    await database.close();
  }
});

test('a statement whose connection is cut fails, and nothing else does', async () => {
  const database = await createTestDatabase();
  const url = new URL(database.url);
  const proxy = await CuttableProxy.before(Number(url.port));
  url.host = new URL(proxy.url).host;
  const pool = new pg.Pool({ connectionString: url.href, max: 4 });
  pool.on('error', () => undefined);
  try {
    const within = { deadline: systemClock.now() + 60_000 };
    const cut = queryWithin(pool, sleep, within, systemClock);
    const ended = expect(cut).rejects.toThrow('Connection terminated');
    const asleep = `SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)' AND state = 'active'`;
    while ((await database.query(asleep)).length === 0);
    proxy.cut();
    await ended;
    proxy.restore();
    expect(await queryWithin(pool, { text: 'SELECT 1 AS one' }, within, systemClock)).toEqual([{ one: 1 }]);
    expect(pool.totalCount).toBe(1);
  } finally {
    await pool.end();
    await proxy.close();
    await database.close();
  }
});
