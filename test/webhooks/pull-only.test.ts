import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestApp, type TestApp } from '../support/app.ts';
import { LoadBalancer } from '../support/load-balancer.ts';
import { Subscriber, until } from '../changes/subscriber.ts';
import { addContacts, crm, ledger, ledgerEnd, told } from '../changes/upstream-edits.ts';
import { ask, changeWebhooks } from './operations.ts';

/* A server on somebody's laptop, and an upstream out in the world, which can not reach it there. */

/** Under which the sandbox is no longer of the same machine. A machine without a network has none. */
const address = Object.values(networkInterfaces())
  .flat()
  .find((found) => found?.family === 'IPv4' && !found.internal)?.address;

let home: TestApp;
let laptop: TestApp;
let world: LoadBalancer;

beforeAll(async () => {
  if (address === undefined) return;
  // It looks after nothing that nobody listens to here.
  home = await startTestApp({ config: { role: 'web' } });
  world = await LoadBalancer.start(address);
  world.ports = [Number(new URL(home.sandbox.url).port)];
  laptop = await home.another({ role: 'all', upstream: { apiUrl: world.url, oauthUrl: home.sandbox.url } });
});
afterAll(async () => {
  await laptop?.close();
  await home?.close();
  await world?.close();
});

(address === undefined ? test.skip : test)(
  'hears of changes without being told: every 20 seconds while somebody listens, else every ten minutes',
  async () => {
    const connection = await home.connect();
    const subscriber = await new Subscriber(laptop, { connection, baseId: crm.baseId }).started();
    const start = await ledgerEnd(home);
    await addContacts(home, 2);
    await changeWebhooks(home, `last_drained_at = last_drained_at - interval '20 s'`);
    await until(() => subscriber.changes.length === 2);
    expect(told(subscriber.changes)).toEqual(await ledger(home, start));
    const { connection: shown } = await ask<{ connection: { webhooks: object[] } }>(
      laptop,
      `query ($connection: Int!) { connection(id: $connection) { ... on CalendlyConnection {
         webhooks { state notificationUrl lastPingAt healthReasons } } } }`,
      { connection },
    );
    expect(shown.webhooks).toEqual([
      { state: 'ACTIVE', notificationUrl: null, lastPingAt: null, healthReasons: [] },
    ]);

    await subscriber.cut();
    await addContacts(home, 1);
    await changeWebhooks(home, `last_drained_at = last_drained_at - interval '600 s'`);
    const logged = async () => (await home.database.query('SELECT 1 FROM changes')).length;
    await until(async () => (await logged()) === 3);
  },
);
