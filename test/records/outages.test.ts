import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { control, startTestApp, type TestApp, type UntypedData } from '../support/app.ts';
import { CuttableProxy } from '../support/cuttable-proxy.ts';
import { isLongRun, repeats, timeLimitMs } from '../support/repeats.ts';
import { allRecords, clearFaults, countCalls, crm, type KnownRecord } from './crm.ts';

const countries = 'appWorldCountries';
/** How much later than its deadline an operation may be answered. Among other tests the machine itself is late. */
const graceMs = repeats({ suite: 1_000, long: 250 });

let app: TestApp;
let connection: number;
let contacts: KnownRecord[];
beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
  contacts = await allRecords(app, connection, 'Contacts');
  await readCountries(app);
});
afterEach(() => clearFaults(app));
afterAll(() => app.close());

const read = (from: TestApp, ids: string[], deadlineMs: number) =>
  from.graphql(
    `query ($c: Int!, $b: String!, $ids: [String!]!) { base(connection: $c, baseId: $b) { table(id: "Contacts") { recordsById(ids: $ids) { id text(field: "Name") } } } }`,
    { c: connection, b: crm, ids },
    { headers: { 'x-deadline-ms': String(deadlineMs) } },
  );
const readCountries = (from: TestApp) =>
  from.graphql(
    `query ($c: Int!) { base(connection: $c, baseId: "${countries}") { table(id: "Countries") { records(first: 1) { nodes { id } } } } }`,
    { c: connection },
    { headers: { 'x-deadline-ms': '1000' } },
  );
const anyOf = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)]!;

/** Of a hundred calls 20 are limited, 10 fail, 5 lose their connection and 5 are never answered. */
async function spoilSome(): Promise<void> {
  const drawn = Math.random() * 100;
  if (drawn >= 40) return;
  if (drawn < 4) await forgetSpent();
  const kind =
    drawn < 20
      ? { kind: 'status', status: 429 }
      : drawn < 30
        ? { kind: 'status', status: anyOf([500, 502, 503]) }
        : drawn < 35
          ? { kind: 'reset' }
          : { kind: 'timeout' };
  const effect = drawn < 20 ? 'before' : anyOf(['before', 'after']);
  await control(app.sandbox.url, 'faults', { match: { path: `/v0/${crm}/**` }, times: 1, effect, ...kind });
}

/** The sandbox keeps a bounded number of faults, spent ones among them. */
async function forgetSpent(): Promise<void> {
  const { faults } = await control<{ faults: { id: string; applied: number }[] }>(app.sandbox.url, 'faults');
  for (const { id, applied } of faults)
    if (applied > 0) await fetch(`${app.sandbox.url}/_control/faults?id=${id}`, { method: 'DELETE' });
}

test(
  'with four calls in ten spoiled, no read is wrong, no write lost or doubled, and no deadline missed',
  async () => {
    const operations = repeats({ suite: 60, long: 2_000 });
    const deadlineMs = 2_000;
    const written = new Map<string, string>();
    const outcomes: Record<string, number> = {};
    let latestMs = 0;
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < operations) {
        const number = next++;
        await spoilSome();
        const startedAt = performance.now();
        let outcome: string;
        if (number % 2 === 0) {
          const some = Array.from({ length: 3 }, () => anyOf(contacts));
          const { data, errors } = await read(
            app,
            some.map(({ id }) => id),
            deadlineMs,
          );
          const found: UntypedData[] = data?.base?.table?.recordsById ?? [];
          // Right, or null with an error of its own.
          found.forEach((record, index) => {
            if (record) expect(record).toEqual({ id: some[index]!.id, text: some[index]!.name });
            else expect(errors?.map(({ path }) => path?.at(-1))).toContain(index);
          });
          outcome = `read ${errors?.[0]?.extensions.code ?? 'right'}`;
        } else {
          const name = `Outage ${number}`;
          const { data } = await app.graphql(
            `mutation ($input: CreateRecordsInput!) { createRecords(input: $input) { ... on CreateRecordsSuccess { results { status } } } }`,
            {
              input: { connection, baseId: crm, tableId: 'Contacts', records: [{ fields: { Name: name } }] },
            },
            { headers: { 'x-deadline-ms': String(deadlineMs) } },
          );
          const status: string = data.createRecords.results?.[0].status ?? 'NOT_SENT';
          written.set(name, status);
          outcome = `write ${status}`;
        }
        latestMs = Math.max(latestMs, performance.now() - startedAt);
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      }
    };
    await Promise.all(Array.from({ length: 16 }, worker));
    await clearFaults(app);

    const counts = new Map<string, number>();
    for (const { name } of await everyContact()) counts.set(name, (counts.get(name) ?? 0) + 1);
    for (const [name, status] of written) {
      const count = counts.get(name) ?? 0;
      if (status === 'WRITTEN') expect({ name, count }).toEqual({ name, count: 1 });
      else if (status === 'OUTCOME_UNKNOWN') expect(count).toBeLessThanOrEqual(1);
      else expect({ name, status, count }).toEqual({ name, status, count: 0 });
    }
    report({ operations, latestMs: Math.round(latestMs), ...outcomes });
    expect(outcomes['read right']).toBeGreaterThan(operations / 5);
    expect(outcomes['write WRITTEN']).toBeGreaterThan(operations / 5);
    expect(latestMs).toBeLessThan(deadlineMs + graceMs);
  },
  timeLimitMs,
);

async function everyContact(): Promise<{ name: string }[]> {
  const names: { name: string }[] = [];
  for (let after: string | null = null; ;) {
    const { data } = await app.graphql(
      `query ($c: Int!, $b: String!, $after: String) { base(connection: $c, baseId: $b) { table(id: "Contacts") { records(first: 1000, after: $after) { nodes { name: text(field: "Name") } pageInfo { endCursor hasNextPage } } } } }`,
      { c: connection, b: crm, after },
    );
    const { nodes, pageInfo }: UntypedData = data.base.table.records;
    names.push(...nodes);
    if (!pageInfo.hasNextPage) return names;
    after = pageInfo.endCursor;
  }
}

test(
  'a base that is dead upstream is tried once a second; others go on, and it is back within two seconds',
  async () => {
    await control(app.sandbox.url, 'faults', {
      match: { path: `/v0/${crm}/**` },
      times: null,
      kind: 'status',
      status: 503,
    });
    const deadMs = repeats({ suite: 3_000, long: 30_000 });
    let isDead = true;
    const codes = new Set<unknown>();
    const people = Array.from({ length: 5 }, async (_, index) => {
      while (isDead) {
        // Different each time, so that none joins another.
        const { errors } = await read(app, [contacts[index]!.id, anyOf(contacts).id], 700);
        if (isDead) codes.add(errors?.[0]?.extensions.code);
      }
    });
    // The first failures show that it is dead.
    await delay(700);
    const { calls } = await countCalls(app, async () => {
      const until = performance.now() + deadMs;
      while (performance.now() < until) {
        expect((await readCountries(app)).errors).toBeUndefined();
        await delay(100);
      }
    });
    const { byBase } = await control(app.sandbox.url, 'calls');
    expect(byBase[crm]?.total ?? 0).toBeLessThanOrEqual(Math.ceil(deadMs / 1_000) + 1);
    expect(byBase[countries].total).toBeGreaterThan(deadMs / 500);
    isDead = false;
    await clearFaults(app);
    const backAt = performance.now();
    const answers = await Promise.all(contacts.slice(5, 10).map(({ id }) => read(app, [id], 10_000)));
    const backAfterMs = Math.round(performance.now() - backAt);
    expect(answers.map(({ errors }) => errors)).toEqual(answers.map(() => undefined));
    expect(backAfterMs).toBeLessThan(2_000 + graceMs - 250);
    await Promise.all(people);
    // Whoever finds his time over at the very end of an attempt is told that.
    codes.delete('DEADLINE_EXCEEDED');
    expect([...codes]).toEqual(['UPSTREAM_UNAVAILABLE']);
    report({ deadMs, backAfterMs, probes: byBase[crm]?.total ?? 0, otherBase: calls['listRecords'] ?? 0 });
  },
  timeLimitMs,
);

test(
  'without PostgreSQL the server stays, says so within a second, and is itself three seconds after its return',
  async () => {
    const proxy = await CuttableProxy.before(Number(new URL(app.database.url).port));
    const databaseUrl = new URL(app.database.url);
    databaseUrl.hostname = '127.0.0.1';
    databaseUrl.port = new URL(proxy.url).port;
    const other = await app.another({ databaseUrl: databaseUrl.href });
    const ready = async () => (await fetch(`${other.url}/health/ready`)).status;
    let isOver = false;
    let slowestMs = 0;
    const codes = new Set<unknown>();
    try {
      expect((await read(other, [contacts[0]!.id], 5_000)).errors).toBeUndefined();
      const load = Array.from({ length: 4 }, async () => {
        while (!isOver) {
          const startedAt = performance.now();
          const { errors } = await read(other, [anyOf(contacts).id], 5_000);
          slowestMs = Math.max(slowestMs, performance.now() - startedAt);
          if (errors) codes.add(errors[0]?.extensions.code);
          await delay(20);
        }
      });
      proxy.cut();
      const cutAt = performance.now();
      expect(await ready()).toBe(503);
      expect(performance.now() - cutAt).toBeLessThan(1_000);
      expect(await statusesOutsideGraphQL(other)).toEqual([503, 503, 503, 503, 503]);
      await delay(repeats({ suite: 1_000, long: 5_000 }));
      expect((await fetch(`${other.url}/health/live`)).status).toBe(200);
      expect(other.logs.text).not.toContain('unexpected error');
      proxy.restore();
      const backAt = performance.now();
      while ((await ready()) !== 200 || (await read(other, [contacts[1]!.id], 2_000)).errors) await delay(20);
      const backAfterMs = performance.now() - backAt;
      isOver = true;
      await Promise.all(load);
      report({ backAfterMs: Math.round(backAfterMs), slowestMs: Math.round(slowestMs) });
      expect(backAfterMs).toBeLessThan(3_000);
      expect([...codes]).toEqual(['DATABASE_UNAVAILABLE']);
    } finally {
      isOver = true;
      proxy.restore();
      await other.close();
      await proxy.close();
    }
  },
  timeLimitMs,
);

test('when all connections to PostgreSQL are taken, who gets none is told within two seconds', async () => {
  const other = await app.another({ databasePoolSize: 4 });
  const blocker = new pg.Client({ connectionString: app.database.url });
  await blocker.connect();
  try {
    expect((await read(other, [contacts[0]!.id], 5_000)).errors).toBeUndefined();
    await blocker.query('BEGIN; LOCK TABLE connections IN ACCESS EXCLUSIVE MODE');
    const startedAt = performance.now();
    const answers = Array.from({ length: 12 }, async () => {
      const { errors } = await read(other, [anyOf(contacts).id], 10_000);
      return { code: errors?.[0]?.extensions.code ?? null, ms: performance.now() - startedAt };
    });
    // Whoever holds one of the four waits for the lock; the others don't wait for them.
    const first = await Promise.race(answers);
    expect(first.code).toBe('DATABASE_UNAVAILABLE');
    expect(first.ms).toBeLessThan(2_000 + graceMs);
    await blocker.query('ROLLBACK');
    const all = await Promise.all(answers);
    expect(all.filter(({ code }) => code === null).length).toBeGreaterThan(0);
    expect(new Set(all.map(({ code }) => code))).toEqual(new Set([null, 'DATABASE_UNAVAILABLE']));
  } finally {
    await blocker.end();
    await other.close();
  }
});

test.each([
  ['53100', 'The disk of the database is full'],
  ['53300', 'no connection or memory left'],
  ['25006', 'takes no writes'],
  ['57014', 'took too long'],
])('what PostgreSQL refuses with %s is told as its own failure: %s', async (sqlState, message) => {
  await app.database.query(
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'secret' USING ERRCODE = '${sqlState}'; END $$`,
  );
  await app.database.query(
    'CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON connections EXECUTE FUNCTION refuse()',
  );
  try {
    const { data, errors } = await app.graphql(
      `mutation ($input: CreateConnectionInput!) { createConnection(input: $input) { __typename } }`,
      { input: { type: 'calendly', name: 'Late', clientId: 'calendly_late', clientSecret: 'secret_late' } },
    );
    expect(data).toEqual({ createConnection: null });
    expect(errors?.map(({ extensions }) => extensions.code)).toEqual(['DATABASE_UNAVAILABLE']);
    expect(errors?.[0]?.message).toContain(message);
    expect(JSON.stringify(errors)).not.toContain('secret');
  } finally {
    await app.database.query('DROP FUNCTION refuse CASCADE');
  }
});

/** What needs the database, each at its own route. */
function statusesOutsideGraphQL({ url }: TestApp): Promise<number[]> {
  const requests: [path: string, options?: RequestInit][] = [
    ['/explorer/key', { method: 'POST', body: '{"code":"abc"}' }],
    ['/metrics', { headers: { authorization: `Bearer ${'k'.repeat(40)}`, 'x-forwarded-for': '192.0.2.1' } }],
    ['/webhooks/calendly/0b6f3f3e-6a3c-4a52-9a4e-0d1f5a0c7a11', { method: 'POST', body: '{}' }],
    ['/oauth/calendly/start/abcdefghijklmnopqrstuvwxyz0123456789abcdefg'],
    ['/oauth/calendly/callback?state=abcdefghijklmnopqrstuvwxyz0123456789abcdefg&code=x'],
  ];
  return Promise.all(requests.map(async ([path, options]) => (await fetch(`${url}${path}`, options)).status));
}

/** Figures of a long run, for docs/reliability.md. */
function report(figures: Record<string, number>): void {
  if (isLongRun) process.stderr.write(`${JSON.stringify(figures)}\n`);
}
