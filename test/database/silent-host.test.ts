import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createDataSource } from '../../src/database/data-source.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

/* A failover in which the host of the database vanishes: what was sent to it is never acknowledged, and nothing is closed. */

let database: TestDatabase;
let server: Server;
/** Both ends of each connection. Paused, it passes on nothing, and no end either. */
const pairs = new Set<Socket>();
beforeAll(async () => {
  database = await createTestDatabase();
  const port = Number(new URL(database.url).port || 5432);
  server = createServer({ allowHalfOpen: true }, (client) => {
    const target = connect(port, 'localhost');
    for (const socket of [client, target]) pairs.add(socket.on('error', () => undefined));
    client.pipe(target);
    target.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  for (const socket of pairs) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  await database.close();
});

test('connections whose host has vanished are given up, and the pool goes on with new ones', async () => {
  const url = new URL(database.url);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const pool = createDataSource(url.href, { poolSize: 2, silenceTimeoutMs: 300 });
  await pool.initialize();
  try {
    await Promise.all([pool.query('SELECT 1'), pool.query('SELECT 2')]);
    for (const socket of pairs) socket.unpipe().pause();
    const answers = await Promise.allSettled([pool.query('SELECT 3'), pool.query('SELECT 4')]);
    for (const answer of answers)
      expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'ETIMEDOUT' } });
    // The host that has taken its place.
    expect(await Promise.all([pool.query('SELECT 5 AS five'), pool.query('SELECT 6 AS six')])).toEqual([
      [{ five: 5 }],
      [{ six: 6 }],
    ]);
  } finally {
    await pool.destroy();
  }
}, 15_000);
