import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { encodeCursor, feedKey } from '../../src/changes/position.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { Subscriber, until } from './subscriber.ts';
import { crm } from './upstream-edits.ts';

let app: TestApp;
let connection: number;
let cursorAt: (payload: number) => string;

/** Entries of the log; payload numbers count from 1. */
const entries = 1_500;
/** Every so many of them is a deletion, which is what is listened to. */
const every = 10;

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
  const first = await new Subscriber(app, { connection, baseId: crm.baseId }).started();
  await first.cut();
  const [feed] = await app.database.query('SELECT client_id, base_id, generation FROM change_feeds');
  const key = feedKey(String(feed?.client_id), String(feed?.base_id));
  cursorAt = (payload) => encodeCursor(key, { generation: Number(feed?.generation), payload, ordinal: 0 });
  await app.database.query(
    `INSERT INTO changes (feed_id, generation, payload, ordinal, kind, table_id, record_id, occurred_at, source)
     SELECT id, generation, number, 0, CASE WHEN number % $1 = 0 THEN 'deleted' ELSE 'created' END, $2, 'rec' || number, now(), 'client'
     FROM change_feeds, generate_series(1, $3) AS number`,
    [every, crm.tableId, entries],
  );
});
afterAll(() => app.close());

it('gives all of a long log to those who come to a fresh instance at once, wherever each stands', async () => {
  const fresh = await app.another({ publicUrl: app.url });
  const places = [0, 500, 100, 600, 1_100, 250, 1_400];
  const all = places.map((payload) => {
    const after = cursorAt(payload);
    return new Subscriber(fresh, { connection, baseId: crm.baseId, kinds: ['DELETED'], after });
  });
  await until(() => all.every(({ changes }) => changes.at(-1)?.recordId === `rec${entries}`));
  for (const [index, { changes, losses }] of all.entries()) {
    const from = (places[index] ?? 0) / every;
    const expected = Array.from(
      { length: entries / every - from },
      (_, later) => `rec${(from + later + 1) * every}`,
    );
    expect(changes.map(({ recordId }) => recordId)).toEqual(expected);
    expect(losses).toEqual([]);
  }
  await Promise.all(all.map((subscriber) => subscriber.cut()));
  await fresh.close();
});
