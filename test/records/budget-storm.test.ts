import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { control, type GraphQLAnswer, type UntypedData } from '../support/app.ts';
import { isLongRun, repeats, timeLimitMs } from '../support/repeats.ts';
import { startCluster, type ClusterServer, type ServerCluster } from '../support/server-cluster.ts';
import { TestSubscription } from '../support/subscription.ts';
import { crm } from './crm.ts';

const contacts = { baseId: crm, tableId: 'tblDEF456' };
const countries = 'appWorldCountries';
/** As shipped. Among other tests, a busy machine holds calls up by more than the 25 ms that this allows for. */
const limit = { calls: 5, windowMs: isLongRun ? 1_025 : 1_200 };
/** What all instances together may send in a second. */
const perSecond = (limit.calls * 1_000) / limit.windowMs;

/* Three server processes as in production, the upstream's real limit, and more work than it allows. */
let cluster: ServerCluster;
let connection: number;
const recordIds: Record<string, string[]> = {};
let listeners: TestSubscription<UntypedData>[] = [];
let isOver = false;
let editing: Promise<void>;

beforeAll(async () => {
  cluster = await startCluster({
    size: 3,
    apart: true,
    variables: { RATE_LIMIT_CALLS: String(limit.calls), RATE_LIMIT_WINDOW_MS: String(limit.windowMs) },
  });
  const [first] = cluster.servers as [ClusterServer];
  connection = await first.connect();
  for (const [base, table] of [
    [crm, 'Contacts'],
    [countries, 'Countries'],
  ] as const) {
    const { data } = await first.graphql(
      `query ($c: Int!, $b: String!, $t: String!) { base(connection: $c, baseId: $b) { table(id: $t) { records(first: 100) { nodes { id } } } } }`,
      { c: connection, b: base, t: table },
    );
    recordIds[base] = data.base.table.records.nodes.map(({ id }: { id: string }) => id);
  }
  // The background: whoever listens wants each changed record as it is now, and drains feed them.
  listeners = cluster.servers.flatMap(({ url }) =>
    ['Name', 'Email', 'Phone', 'Score'].map(
      (field) =>
        new TestSubscription<UntypedData>(
          url,
          cluster.adminKey,
          `subscription ($c: Int!, $field: String!) { recordChanges(connection: $c, baseId: "${crm}") { __typename ... on RecordChange { liveRecord { value(field: $field) } } } }`,
          { c: connection, field },
        ),
    ),
  );
  await Promise.all(listeners.map((listener) => listener.until(() => true, 30_000)));
  await Promise.all(cluster.servers.map((server) => read(server, crm)));
  await control(cluster.sandbox.url, 'limits', { requestsPerSecond: limit.calls });
  // What came before was not under the limit.
  await delay(limit.windowMs);
  await fetch(`${cluster.sandbox.url}/_control/calls`, { method: 'DELETE' });
  editing = editForever();
}, timeLimitMs);
afterAll(async () => {
  isOver = true;
  await editing;
  await Promise.all(listeners.map((listener) => listener.close()));
  await cluster.close();
});

async function editForever(): Promise<void> {
  for (let round = 0; !isOver; round += 1) {
    const id = recordIds[crm]![round % 100]!;
    await control(cluster.sandbox.url, 'edits', {
      ...contacts,
      update: [{ id, fields: { Notes: `Edit ${round}` } }],
    });
    await delay(100);
  }
}

const anyOf = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)]!;

/** Ids are drawn, so that hardly two reads are the same. */
async function read(server: ClusterServer, baseId: string): Promise<GraphQLAnswer> {
  const ids = Array.from({ length: 5 }, () => anyOf(recordIds[baseId]!));
  const answer = await server.graphql(
    `query ($c: Int!, $b: String!, $t: String!, $ids: [String!]!) { base(connection: $c, baseId: $b) { table(id: $t) { recordsById(ids: $ids) { id text(field: "Name") } } } }`,
    { c: connection, b: baseId, t: baseId === crm ? 'Contacts' : 'Countries', ids },
  );
  const found = answer.data?.base?.table.recordsById.map((record: { id: string } | null) => record?.id);
  expect({ errors: answer.errors, found }).toEqual({ errors: undefined, found: ids });
  return answer;
}

async function write(server: ClusterServer): Promise<GraphQLAnswer> {
  const answer = await server.graphql(
    `mutation ($input: UpdateRecordsInput!) { updateRecords(input: $input) { ... on UpdateRecordsSuccess { results { status } } } }`,
    {
      input: {
        connection,
        baseId: crm,
        tableId: 'Contacts',
        records: [{ id: anyOf(recordIds[crm]!), fields: { Score: 1 } }],
      },
    },
  );
  expect(answer.data?.updateRecords.results).toEqual([{ status: 'WRITTEN' }]);
  return answer;
}

const calls = () =>
  control<{
    byBase: Record<
      string,
      { total: number; limited: number; highestInOneSecond: number; byEndpoint: Record<string, number> }
    >;
  }>(cluster.sandbox.url, 'calls');
const total = async (base = crm): Promise<number> => (await calls()).byBase[base]?.total ?? 0;

/** Calls that may lie on either side of the ends of a time: they come in bursts, which weigh in a time of seconds. */
const atTheEnds = isLongRun ? 1 : limit.calls - 1;

/** Runs the work and tells which share of the allowance was used meanwhile. */
async function shareUsed(work: () => Promise<unknown>, base = crm): Promise<number> {
  const before = await total(base);
  const startedAt = performance.now();
  await work();
  const seconds = (performance.now() - startedAt) / 1_000;
  return ((await total(base)) - before + atTheEnds) / (seconds * perSecond);
}

async function expectWithinLimit(): Promise<void> {
  for (const [base, { highestInOneSecond, limited }] of Object.entries((await calls()).byBase)) {
    expect({ base, limited }).toEqual({ base, limited: 0 });
    expect(highestInOneSecond).toBeLessThanOrEqual(limit.calls);
  }
}

test(
  'a person hardly waits behind the background work of three instances, which uses what is left',
  async () => {
    const waitedMs: number[] = [];
    const people = repeats({ suite: 4, long: 40 });
    const used = await shareUsed(async () => {
      for (let turn = 0; turn < people; turn += 1) {
        await delay(Math.random() * 800);
        const server = cluster.servers[turn % 3]!;
        const { extensions } = turn % 5 === 4 ? await write(server) : await read(server, crm);
        waitedMs.push(extensions!.upstream!.waitedMs);
      }
    });
    await expectWithinLimit();
    report({ 'people beside background': people, longestWaitMs: Math.max(...waitedMs), used });
    expect(Math.max(...waitedMs)).toBeLessThanOrEqual(1_000);
    expect(used).toBeGreaterThanOrEqual(0.95);
  },
  timeLimitMs,
);

test(
  'one 429 stops all three for as long as it says, and then all go on',
  async () => {
    for (let round = 0; round < repeats({ suite: 1, long: 3 }); round += 1) {
      // Among other tests the machine itself is late, with what was on its way and with our noticing.
      const restMs = repeats({ suite: 3_000, long: 1_000 });
      const lateMs = repeats({ suite: 1_000, long: 100 });
      const fault = await control(cluster.sandbox.url, 'faults', {
        match: { path: `/v0/${crm}/**` },
        times: 1,
        kind: 'status',
        status: 429,
        headers: { 'retry-after': String(restMs / 1_000) },
      });
      while (
        (await control(cluster.sandbox.url, 'faults')).faults.find(({ id }: UntypedData) => id === fault.id)
          .applied === 0
      )
        await delay(5);
      const restedAt = performance.now();
      // What had its permission already may still arrive.
      await delay(lateMs);
      const before = await total();
      await delay(restMs - 2 * lateMs);
      expect(await total()).toBe(before);
      while ((await total()) === before) await delay(5);
      expect(performance.now() - restedAt).toBeLessThan(restMs + repeats({ suite: 3_000, long: 500 }));
      await Promise.all(cluster.servers.map((server) => read(server, crm)));
    }
    await expectWithinLimit();
  },
  timeLimitMs,
);

test(
  'a crowd on two bases, with one process asleep for a while: never above the limit, hardly below it',
  async () => {
    const crowdMs = repeats({ suite: 3_000, long: 30_000 });
    const asleep = cluster.servers[2]!;
    const drainsBefore = await drains();
    let hasEnded = false;
    let done = 0;
    const used: Record<string, number> = {};
    const crowd = Array.from({ length: 24 }, async (_, index) => {
      while (!hasEnded) {
        const server = cluster.servers[index % 3]!;
        await (index % 8 === 7 ? write(server) : read(server, index % 2 === 0 ? countries : crm));
        done += 1;
      }
    });
    await delay(500);
    const wholeTime = (base: string) =>
      shareUsed(async () => {
        for (let round = 0; round < repeats({ suite: 1, long: 8 }); round += 1) {
          await delay(crowdMs / repeats({ suite: 3, long: 24 }));
          if (base === crm) asleep.pause();
          await delay(crowdMs / repeats({ suite: 3, long: 24 }));
          if (base === crm) asleep.resume();
          await delay(crowdMs / repeats({ suite: 3, long: 24 }));
        }
      }, base).then((share) => {
        used[base] = share;
      });
    await Promise.all([wholeTime(crm), wholeTime(countries)]);
    const drained = (await drains()) - drainsBefore;
    hasEnded = true;
    await Promise.all(crowd);
    await expectWithinLimit();
    report({ 'operations of the crowd': done, drains: drained, ...used });
    expect(used[crm]).toBeGreaterThanOrEqual(0.95);
    expect(used[countries]).toBeGreaterThanOrEqual(0.95);
    // The background has its share all the while.
    if (isLongRun) expect(drained).toBeGreaterThan(0);
  },
  timeLimitMs,
);

const drains = async (): Promise<number> =>
  (await calls()).byBase[crm]?.byEndpoint['listWebhookPayloads'] ?? 0;

/** Figures of a long run, for docs/reliability.md. */
function report(figures: Record<string, number>): void {
  if (isLongRun) process.stderr.write(`${JSON.stringify(figures)}\n`);
}
