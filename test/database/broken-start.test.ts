import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createDataSource } from '../../src/database/data-source.ts';
import { databaseFailureOf } from '../../src/database-failure.ts';
import { BreakingDoor } from '../support/breaking-door.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

/* A database that is killed while a connection is made: its last words come in one piece with the news that it is ready. */

/** ReadyForQuery of PostgreSQL's protocol, outside a transaction. */
const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

let database: TestDatabase;
let door: BreakingDoor;
beforeAll(async () => {
  database = await createTestDatabase();
  door = await BreakingDoor.start(database.url);
});
afterAll(async () => {
  await door.close();
  await database.close();
});

test('a connection that breaks as it is made fails its statement alone', async () => {
  const url = new URL(database.url);
  url.host = `127.0.0.1:${door.port}`;
  const pool = createDataSource(url.href, { poolSize: 2 });
  await pool.initialize();
  try {
    let toBreak = 1;
    door.isLast = (answer) => toBreak > 0 && answer.subarray(-ready.length).equals(ready) && toBreak-- > 0;
    // The first takes the connection that is there.
    const [, broken] = await Promise.allSettled([pool.query('SELECT pg_sleep(0.1)'), pool.query('SELECT 2')]);
    expect(toBreak).toBe(0);
    expect(broken.status).toBe('rejected');
    expect(databaseFailureOf((broken as PromiseRejectedResult).reason)).toContain('can not be reached');
    expect(await pool.query('SELECT 3 AS three')).toEqual([{ three: 3 }]);
  } finally {
    await pool.destroy();
  }
});
