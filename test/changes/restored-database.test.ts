import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, afterEach, expect, it } from '@jest/globals';
import pg from 'pg';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { LoadBalancer } from '../support/load-balancer.ts';
import { grantToken } from '../support/sandbox-grant.ts';
import { heldUpstream } from '../webhooks/operations.ts';
import { Subscriber, until } from './subscriber.ts';
import { addContacts, crm, dropPings, ledger, ledgerEnd, told } from './upstream-edits.ts';

/*
 * An operator restores an older copy of the database: what was logged since then is gone, while subscribers still have
 * their cursors. The copy is made of the database's files, while no server is connected to it.
 */
let home: TestApp;
let balancer: LoadBalancer;
let connection: number;
const copies: string[] = [];
let served: TestApp | null = null;

beforeAll(async () => {
  balancer = await LoadBalancer.start();
  // Holds sandbox and database for the servers of the tests, and does nothing itself.
  home = await startTestApp({ config: { role: 'web', publicUrl: balancer.url } });
});
afterAll(async () => {
  await home.close();
  await balancer.close();
});
beforeEach(async () => {
  await control(home.sandbox.url, 'reset', {});
  await control(home.sandbox.url, 'limits', { requestsPerSecond: 0 });
});
afterEach(async () => {
  await endServed();
  await onServer(...copies.splice(0).map((name) => `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
});

async function onServer(...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: process.env['TEST_SERVER_URL'] });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Webhooks are told apart by the second in which they were made, and no real restore is done within one. */
const aSecondLater = () => new Promise((resolve) => setTimeout(resolve, 1_100));

/** The database as it is now, under another name. Ends the server on it, since PostgreSQL copies what nobody uses. */
async function copyOf(databaseUrl: string): Promise<string> {
  await endServed();
  const name = `test_${randomBytes(8).toString('hex')}`;
  await onServer(`CREATE DATABASE ${name} TEMPLATE ${new URL(databaseUrl).pathname.slice(1)}`);
  copies.push(name);
  return addressOf(name);
}

async function emptyDatabase(): Promise<string> {
  return copyOf(`postgres://any/${process.env['TEST_TEMPLATE_DATABASE']}`);
}

function addressOf(name: string): string {
  const url = new URL(home.database.url);
  url.pathname = name;
  return url.href;
}

async function endServed(): Promise<void> {
  const app = served;
  served = null;
  await app?.close();
}

/** A server on a database, reached under the address that all of them have one after the other. */
async function serve(databaseUrl: string): Promise<TestApp> {
  await endServed();
  const app = await home.another({ databaseUrl, publicUrl: balancer.url, role: 'all' });
  balancer.cut();
  balancer.ports = [app.server.port];
  served = app;
  return app;
}

const subscribe = (app: TestApp, after?: string) =>
  new Subscriber(app, { connection, baseId: crm.baseId, after: after ?? null }).started();

/** Somebody who has heard `count` changes, and goes. @returns the cursor of the last one. */
async function hear(app: TestApp, count: number, after?: string): Promise<string> {
  const subscriber = await subscribe(app, after);
  await addContacts(app, count);
  await until(() => subscriber.changes.length === count);
  await subscriber.cut();
  return subscriber.cursor ?? '';
}

it('goes on behind a cursor from after the copy, once the upstream has told again what was lost', async () => {
  let app = await serve(await emptyDatabase());
  connection = await app.connect();
  const early = await hear(app, 3);
  const copy = await copyOf(app.app.config.databaseUrl);

  app = await serve(app.app.config.databaseUrl);
  const start = await ledgerEnd(app);
  const cursor = await hear(app, 5);

  app = await serve(copy);
  const [everything, behind] = await Promise.all([subscribe(app, early), subscribe(app, cursor)]);
  await addContacts(app, 2);
  const expected = await ledger(app, start);
  await until(() => everything.changes.length >= 7 && behind.changes.length >= 2);
  expect(told(everything.changes)).toEqual(expected);
  expect(told(behind.changes)).toEqual(expected.slice(5));
  expect(behind.losses).toEqual([]);
  await Promise.all([everything.cut(), behind.cut()]);
});

it('says what may be missing when the webhook of the copy is gone, also to a cursor of the one that followed it', async () => {
  let app = await serve(await emptyDatabase());
  connection = await app.connect();
  await hear(app, 3);
  const copiedAt = Date.now();
  const copy = await copyOf(app.app.config.databaseUrl);

  app = await serve(app.app.config.databaseUrl);
  const before = await hear(app, 1);
  await loseWebhook(app);
  const replaced = await subscribe(app, before);
  await until(() => replaced.losses.length === 1);
  await replaced.cut();
  const cursor = await hear(app, 2, replaced.cursor);

  await aSecondLater();
  app = await serve(copy);
  const restoredAt = Date.now();
  const [old, recent] = await Promise.all([subscribe(app, before), subscribe(app, cursor)]);
  await until(() => [old, recent].every(({ losses }) => losses.length > 0));
  for (const { losses } of [old, recent]) {
    expect(losses).toEqual([expect.objectContaining({ reason: 'WEBHOOK_GONE' })]);
    expect(Date.parse(losses[0]?.since ?? '')).toBeLessThanOrEqual(copiedAt);
    expect(Date.parse(losses[0]?.until ?? '')).toBeGreaterThanOrEqual(restoredAt - 1_000);
  }
  const [recordId] = await addContacts(app, 1);
  await until(() => [old, recent].every(({ changes }) => changes.length > 0));
  for (const { changes } of [old, recent]) expect(told(changes)).toEqual([`created ${recordId}`]);
  // The webhook that the copy knew nothing of is not left behind.
  expect(await heldUpstream(app)).toHaveLength(1);
  await Promise.all([old.cut(), recent.cut()]);
});

it('says so to a cursor of a base that the copy had no webhook for', async () => {
  let app = await serve(await emptyDatabase());
  connection = await app.connect();
  const copy = await copyOf(app.app.config.databaseUrl);

  app = await serve(app.app.config.databaseUrl);
  const cursor = await hear(app, 2);

  await aSecondLater();
  app = await serve(copy);
  const subscriber = await subscribe(app, cursor);
  await until(() => subscriber.losses.length > 0);
  expect(subscriber.losses).toEqual([expect.objectContaining({ reason: 'CURSOR_PRUNED' })]);
  const [recordId] = await addContacts(app, 1);
  await until(() => subscriber.changes.length > 0);
  expect(told(subscriber.changes)).toEqual([`created ${recordId}`]);
  await subscriber.cut();
});

it('announces what the upstream has dropped between the copy and its return, but not to those who had heard it', async () => {
  let app = await serve(await emptyDatabase());
  connection = await app.connect();
  const early = await hear(app, 2);
  const copy = await copyOf(app.app.config.databaseUrl);

  app = await serve(app.app.config.databaseUrl);
  const late = await hear(app, 4);

  await control(home.sandbox.url, 'clock', { advanceMs: 2_000 });
  await control(home.sandbox.url, 'limits', { payloadRetentionMs: 1_500 });
  await dropPings(home, true);
  const [kept] = await addContacts(home, 1);
  app = await serve(copy);
  const [first, second] = await Promise.all([subscribe(app, early), subscribe(app, late)]);
  await until(() => [first, second].every(({ changes }) => changes.length > 0));
  expect(first.losses).toEqual([expect.objectContaining({ reason: 'PAYLOADS_MISSING' })]);
  expect(second.losses).toEqual([]);
  for (const { changes } of [first, second]) expect(told(changes)).toEqual([`created ${kept}`]);
  await Promise.all([first.cut(), second.cut()]);
});

/** Somebody else deletes it upstream, and something happens before that is noticed. */
async function loseWebhook(app: TestApp): Promise<void> {
  const { accessToken } = await grantToken(app.sandbox.url);
  const [held] = await heldUpstream(app);
  const deleted = await fetch(`${app.sandbox.url}/v0/bases/${crm.baseId}/webhooks/${held?.id ?? ''}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${accessToken}` },
  });
  expect(deleted.ok).toBe(true);
  await addContacts(app, 1);
  await app.app.database.query('UPDATE webhooks SET drain_wanted_at = clock_timestamp()');
}
