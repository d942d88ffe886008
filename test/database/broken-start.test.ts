import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { createDataSource } from '../../src/database/data-source.ts';
import { databaseFailureOf } from '../../src/database-failure.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

/* A database that is killed while a connection is made: its last words come in one piece with the news that it is ready. */

/** ReadyForQuery, outside a transaction. */
const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
const lastWords = errorMessage({
  S: 'FATAL',
  C: '57P01',
  M: 'terminating connection due to unexpected postmaster exit',
});

let database: TestDatabase;
let server: Server;
/** How many connections are broken as they are made. */
let toBreak = 0;
beforeAll(async () => {
  database = await createTestDatabase();
  const port = Number(new URL(database.url).port || 5432);
  server = createServer((client) => {
    const target = connect(port, 'localhost');
    client.pipe(target);
    target.on('data', (chunk) => {
      if (toBreak === 0 || !chunk.subarray(-ready.length).equals(ready)) return void client.write(chunk);
      toBreak -= 1;
      client.end(Buffer.concat([chunk, lastWords]));
    });
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const)
      socket.on('error', () => undefined).on('close', () => other.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  await database.close();
});

test('a connection that breaks as it is made fails its statement alone', async () => {
  const url = new URL(database.url);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const pool = createDataSource(url.href, { poolSize: 2 });
  await pool.initialize();
  try {
    toBreak = 1;
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

function errorMessage(fields: Record<string, string>): Buffer {
  const body = Buffer.from(
    `${Object.entries(fields)
      .map(([key, value]) => `${key}${value}\0`)
      .join('')}\0`,
  );
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
