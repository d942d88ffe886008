import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { loadavg } from 'node:os';
import type { Pool } from 'pg';
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js';
import { startTestApp, type TestApp } from '../support/app.ts';
import { isLongRun, repeats, timeLimitMs } from '../support/repeats.ts';
import { Subscriber, until } from './subscriber.ts';
import { addContacts, crm, ledger, ledgerEnd, told } from './upstream-edits.ts';

const clients = repeats({ suite: 100, long: 1_000 });
/** Statements that may wait for a connection at a time: the server's own upkeep comes at once, whoever is there. */
const mostWaiting = 25;
/** Lets everything through, and has to be held against the table by each who comes with it. */
const filtered = { tableId: 'Contacts', filter: { field: 'Name', isEmpty: false } };
/** Changes that those who come back have missed, at most one less. */
const changes = 10;

let app: TestApp;
let fresh: TestApp;
let connection: number;
let open: Subscriber[] = [];

/** An instance that works at nothing by itself: what is counted is what clients ask for, however long that takes. */
const another = () => app.another({ publicUrl: app.url, role: 'web' });

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterEach(async () => {
  await Promise.all(open.map((subscriber) => subscriber.cut()));
  open = [];
  await fresh.close();
});
afterAll(() => app.close());

function subscribe(to: TestApp, variables: object = {}): Subscriber {
  const subscriber = new Subscriber(to, { connection, baseId: crm.baseId, ...variables });
  open.push(subscriber);
  return subscriber;
}

/** How often an instance takes a connection to the database, for a statement or a transaction, and how many wait for one. */
function watchPool({ app: { database } }: TestApp) {
  const pool = (database.driver as PostgresDriver).master as Pool;
  const seen = { statements: 0, mostWaiting: 0 };
  pool.on('acquire', () => {
    seen.statements += 1;
    seen.mostWaiting = Math.max(seen.mostWaiting, pool.waitingCount);
  });
  return seen;
}

const problems = ({ logs }: TestApp): string[] =>
  logs.text.split('\n').filter((line) => /"level":"?(warn|error|[456]0)/.test(line));

/** Asks for a connection. @returns the time that the answer took, in milliseconds */
async function ask(from: TestApp): Promise<number> {
  const askedAt = performance.now();
  const { errors } = await from.graphql(`query ($id: Int!) { connection(id: $id) { id state } }`, {
    id: connection,
  });
  expect(errors).toBeUndefined();
  return performance.now() - askedAt;
}

/** How many statements asking takes while nobody else does anything. */
async function statementsOfAsking(from: TestApp, pool: { statements: number }): Promise<number> {
  const counts: number[] = [];
  for (let time = 0; time < 3; time += 1) {
    const before = pool.statements;
    await ask(from);
    counts.push(pool.statements - before);
  }
  return Math.min(...counts);
}

/** Asks for a connection again and again. @returns ends it, with the time that each answer took, in milliseconds. */
function askMeanwhile(from: TestApp): () => Promise<number[]> {
  const took: number[] = [];
  let isOver = false;
  const asking = (async () => {
    while (!isOver) took.push(await ask(from));
  })();
  return async () => {
    isOver = true;
    await asking;
    return took;
  };
}

it(
  `begins a base's log once for ${clients} who come at once to an instance that has just started`,
  async () => {
    fresh = await another();
    const pool = watchPool(fresh);
    const ofAsking = await statementsOfAsking(fresh, pool);
    pool.statements = 0;
    const stop = askMeanwhile(fresh);
    const startedAt = performance.now();
    for (let index = 0; index < clients; index += 1) subscribe(fresh);
    await Promise.all(open.map((subscriber) => subscriber.started()));
    const took = await stop();
    report('first', pool, took, startedAt);
    expect(problems(fresh)).toEqual([]);
    // Those who come together share their statements; by itself, each would take six.
    expect(pool.statements - ofAsking * took.length).toBeLessThan(4 * clients);
    expect(pool.mostWaiting).toBeLessThan(mostWaiting);
  },
  timeLimitMs,
);

it(
  `tells ${clients} who come back to an instance that has just started what they missed, with a few statements`,
  async () => {
    fresh = await another();
    const before = await subscribe(fresh).started();
    await addContacts(fresh, changes);
    await until(() => before.changes.length === changes);
    const cursors = before.events.map(({ cursor }) => cursor);
    await fresh.close();
    await app.database.query(`UPDATE change_feeds SET used_at = now() - interval '1 hour'`);

    fresh = await another();
    const pool = watchPool(fresh);
    const ofAsking = await statementsOfAsking(fresh, pool);
    pool.statements = 0;
    const stop = askMeanwhile(fresh);
    const startedAt = performance.now();
    const back = Array.from({ length: clients }, (_, index) => ({
      missed: index % changes,
      subscriber: subscribe(fresh, {
        after: cursors.at(-1 - (index % changes)),
        ...(index % 2 === 0 && filtered),
      }),
    }));
    await until(() => back.every(({ missed, subscriber }) => subscriber.changes.length === missed), 60_000);
    const took = await stop();
    report('back', pool, took, startedAt);
    for (const { missed, subscriber } of back) {
      expect(subscriber.errors).toEqual([]);
      expect(told(subscriber.changes)).toEqual(missed === 0 ? [] : told(before.changes).slice(-missed));
    }
    expect(problems(fresh)).toEqual([]);
    expect(pool.statements - ofAsking * took.length).toBeLessThan(4 * clients);
    expect(pool.mostWaiting).toBeLessThan(mostWaiting);

    const after = await ledgerEnd(fresh);
    await addContacts(fresh, 1);
    await until(() => back.every(({ missed, subscriber }) => subscriber.changes.length === missed + 1));
    expect(told(back[0]!.subscriber.changes)).toEqual(await ledger(fresh, after));
  },
  timeLimitMs,
);

/** Figures of a long run. */
function report(what: string, pool: object, took: number[], startedAt: number): void {
  if (!isLongRun) return;
  const sorted = took.toSorted((a, b) => a - b);
  const p99Ms = Math.round(sorted[Math.floor(sorted.length * 0.99)] ?? 0);
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  const figures = { what, clients, ...pool, seconds, queries: took.length, p99Ms, load: loadavg()[0] };
  process.stderr.write(`${JSON.stringify(figures)}\n`);
}
