import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { fewRecords } from '../../../src/automation/triggers/delivery-claim.ts';
import {
  DeliveryLeases,
  type ClaimedDelivery,
  type Outcome,
} from '../../../src/automation/triggers/delivery-leases.ts';
import { DeliveryList } from '../../../src/automation/triggers/delivery-list.ts';
import { TriggerHealth } from '../../../src/automation/triggers/trigger-health.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

/* Who may take which deliveries and store what came of them; and what is read of a backlog for that, as PostgreSQL counts it. */

const trigger = '00000000-0000-4000-8000-000000000001';
const now = new Date();
let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(`
    INSERT INTO connections (id, type, name, client_id, state, requested_scopes) VALUES (1, 'calendly', 'C', 'c', 'connected', '{}');
    INSERT INTO change_feeds (client_id, base_id) VALUES ('c', 'app1');
    INSERT INTO triggers (id, name, connection_id, base_id, table_id, endpoint_url, created_by, state, feed_id, generation, payload,
           ordinal, created_at, updated_at)
    SELECT '${trigger}', 'T', 1, 'app1', 'tbl1', 'https://example.com', 'key:1', 'active', id, 1, 0, 0, now(), now() FROM change_feeds;
    INSERT INTO trigger_health (trigger_id) VALUES ('${trigger}');`);
});
afterEach(() => client.query('TRUNCATE trigger_deliveries CASCADE'));
afterAll(async () => {
  await client.end();
  await database.close();
});

/** Deliveries that are due, of so many records in turn. */
async function wait(records: number, ofEach: number): Promise<void> {
  await client.query(
    `INSERT INTO trigger_deliveries (trigger_id, event_id, record_id, type, body, status, next_attempt_at, created_at)
     SELECT $1, 'evt' || record || '-' || turn, 'rec' || record, 'record.updated', '{}', 'WAITING', $4, $4
     FROM generate_series(1, $3::integer) AS turn, generate_series(1, $2::integer) AS record ORDER BY turn, record`,
    [trigger, records, ofEach, now],
  );
  await client.query('ANALYZE trigger_deliveries');
}

/** Takes up to 50 of them. @returns their events, and how many rows were read for that */
async function take(): Promise<{ events: string[]; read: number }> {
  const query = async (text: string, values: unknown[]) => {
    const { rows, rowCount } = await client.query(text, values);
    return [rows, rowCount];
  };
  const rowsRead = async (): Promise<number> => {
    const { rows } = await client.query<{ read: string }>(
      `SELECT seq_tup_read + idx_tup_fetch AS read FROM pg_stat_xact_user_tables WHERE relname = 'trigger_deliveries'`,
    );
    return Number(rows[0]?.read);
  };
  const leases = new DeliveryLeases({ query } as unknown as DataSource);
  await client.query('BEGIN');
  const before = await rowsRead();
  const claimed = await leases.claim(new Map([[trigger, 50]]), now);
  const read = (await rowsRead()) - before;
  await client.query('COMMIT');
  return { events: claimed.map(({ eventId }) => eventId).sort(), read };
}

describe('taking deliveries', () => {
  test('reads nothing of the 5,000 that wait behind the one of a record, be that free or under way', async () => {
    await wait(1, 5_000);
    const free = await take();
    expect(free.events).toEqual(['evt1-1']);
    expect(free.read).toBeLessThan(20);
    const underWay = await take();
    expect(underWay.events).toEqual([]);
    expect(underWay.read).toBeLessThan(20);
  });

  test('takes the first of each record, of twenty that have 250', async () => {
    await wait(20, 250);
    const { events, read } = await take();
    expect(events).toEqual(Array.from({ length: 20 }, (_, index) => `evt${index + 1}-1`).sort());
    expect(read).toBeLessThan(10 * 20);
    expect((await take()).events).toEqual([]);
  });

  test.each([1, fewRecords + 1])(
    'takes none of a record that has one under way, be it a later one, of %i records',
    async (records) => {
      await wait(records, 2);
      // The two of the first record come before all others, and the older one has been made.
      await client.query(
        `UPDATE trigger_deliveries SET next_attempt_at = $1::timestamptz - interval '1 hour' WHERE record_id = 'rec1'`,
        [now],
      );
      await client.query(`UPDATE trigger_deliveries SET status = 'DELIVERED' WHERE event_id = 'evt1-1'`);
      expect((await take()).events).toContain('evt1-2');
      // It is to be made again, and there is room for it.
      await client.query(
        `UPDATE trigger_deliveries SET status = 'DELIVERED' WHERE lease_until IS NOT NULL AND event_id <> 'evt1-2'`,
      );
      await client.query(`UPDATE trigger_deliveries SET status = 'WAITING' WHERE event_id = 'evt1-1'`);
      const taken = (await take()).events;
      expect(taken).not.toContain('evt1-1');
      expect(taken).toHaveLength(records === 1 ? 0 : 49);
      await client.query(`UPDATE trigger_deliveries SET lease_until = NULL`);
      const { events } = await take();
      expect(events.filter((event) => event.startsWith('evt1-'))).toEqual(['evt1-1']);
    },
  );

  test('takes the first of each record in the order in which they are due, of more records than are looked up', async () => {
    const records = fewRecords + 1;
    await wait(records, 2);
    const taken: string[] = [];
    for (let claim = 0; claim < 3; claim += 1) {
      const { events, read } = await take();
      expect(read).toBeLessThan(10 * records);
      taken.push(...events);
      await client.query(
        `UPDATE trigger_deliveries SET status = 'DELIVERED', lease_until = NULL WHERE lease_until IS NOT NULL`,
      );
    }
    const first = Array.from({ length: records }, (_, index) => `evt${index + 1}-1`);
    expect(taken.slice(0, 100).sort()).toEqual(first.slice(0, 100).sort());
    expect(new Set(taken).size).toBe(150);
  });
});

describe('a delivery', () => {
  let source: DataSource;
  let leases: DeliveryLeases;
  beforeAll(async () => {
    source = await new DataSource({ type: 'postgres', url: database.url, poolSize: 2 }).initialize();
    leases = new DeliveryLeases(source);
  });
  afterAll(() => source.destroy());

  const claim = async (): Promise<ClaimedDelivery[]> => leases.claim(new Map([[trigger, 1]]), now);
  const finish = async (delivery: ClaimedDelivery, outcome: Partial<Outcome>): Promise<number> =>
    (await leases.finish(new Map([[delivery, { ...taken, ...outcome }]]))).deliveries.size;
  const rows = async (): Promise<string> =>
    JSON.stringify(
      await Promise.all([
        source.query('SELECT * FROM trigger_deliveries ORDER BY id'),
        source.query('SELECT failures_in_row, failing_since, rest_until FROM trigger_health'),
      ]),
    );
  const taken: Outcome = {
    status: 'DELIVERED',
    at: now,
    nextAttemptAt: null,
    httpStatus: 204,
    answer: '',
    durationMs: 1,
    error: null,
    isOpen: false,
    isKeyUsedUp: false,
  };
  const failed: Partial<Outcome> = {
    status: 'WAITING',
    nextAttemptAt: now,
    httpStatus: 500,
    error: { code: 'ENDPOINT_REFUSED', message: 'no' },
  };

  test('that somebody else has taken over is not touched by who had it before, whatever came of it there', async () => {
    await wait(1, 2);
    const [lost] = (await claim()) as [ClaimedDelivery];
    await source.query(`UPDATE trigger_deliveries SET lease_until = clock_timestamp() - interval '1 s'
                        WHERE lease_holder IS NOT NULL`);
    const [held] = (await claim()) as [ClaimedDelivery];
    expect(held.eventId).toBe(lost.eventId);
    const before = await rows();
    for (const outcome of [taken, failed, { ...failed, status: 'PARKED' as const }])
      expect(await finish(lost, outcome)).toBe(0);
    await leases.giveBack([lost]);
    await leases.renew(new Set([lost]));
    expect(await rows()).toBe(before);
    expect(await finish(held, taken)).toBe(1);
  });

  test('that was taken is never made again, but for who names it in a replay', async () => {
    await wait(1, 1);
    const [delivery] = (await claim()) as [ClaimedDelivery];
    expect(await finish(delivery, taken)).toBe(1);
    const before = await rows();
    expect(await finish(delivery, failed)).toBe(0);
    await leases.giveBack([delivery]);
    await leases.renew(new Set([delivery]));
    const list = new DeliveryList(source);
    expect(await list.replay(trigger, null, now)).toBe(0);
    const health = new TriggerHealth(source);
    await source.transaction((sql) => health.beginAnew(sql, trigger, now));
    await health.hurry(now);
    expect(await claim()).toEqual([]);
    expect(await rows()).toBe(before);
    expect(await list.replay(trigger, [delivery.eventId], now)).toBe(1);
    // The lease of the time before is none for this one.
    expect(await finish(delivery, failed)).toBe(0);
    expect(await claim()).toHaveLength(1);
  });
});
