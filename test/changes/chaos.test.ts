import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { control } from '../support/app.ts';
import { processorTime } from '../support/processor-time.ts';
import { isLongRun, repeats, timeLimitMs } from '../support/repeats.ts';
import { RestartablePostgres } from '../support/restartable-postgres.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { startCluster, type ClusterServer, type ServerCluster } from '../support/server-cluster.ts';
import { PingLoad } from '../webhooks/ping-load.ts';
import { PingSender } from '../webhooks/ping-sender.ts';
import { chaosRun, ledgerAfter } from './chaos-run.ts';
import { differences } from './ledger-comparison.ts';
import { ResumingSubscriber } from './resuming-subscriber.ts';
import { until } from './subscriber.ts';
import { addContacts, crm } from './upstream-edits.ts';

/* Server processes as in production, behind a load balancer, on a PostgreSQL that can be killed like them. */
let database: RestartablePostgres;
let cluster: ServerCluster;
let connection: number;
/** What was drawn can be drawn again with CHAOS_SEED; what the machine does meanwhile cannot. */
const random = SeededRandom.fromEnvironment();

beforeAll(async () => {
  database = await RestartablePostgres.start();
  cluster = await startCluster({
    size: repeats({ suite: 2, long: 3 }),
    apart: isLongRun,
    together: true,
    database,
    variables: { RATE_LIMIT_CALLS: '5', RATE_LIMIT_WINDOW_MS: '1025', RATE_LIMIT_PENALTY_MS: '1000' },
  });
  // A ping that met a dead server comes again soon.
  await control(cluster.sandbox.url, 'limits', { retryBaseMs: 300 });
  connection = await cluster.servers[0]!.connect();
}, timeLimitMs);
afterAll(() => cluster.close());

/** Leases are by PostgreSQL's clock, which no test can move; the long run waits. */
async function passLease(): Promise<void> {
  if (!isLongRun) await database.query('UPDATE webhooks SET drain_lease_until = clock_timestamp()');
}

/** What goes on by itself until it is ended, however a test ends. */
const goingOn: (ResumingSubscriber | PingLoad)[] = [];

function listener(url: () => string, after: string | null = null): ResumingSubscriber {
  const subscriber = new ResumingSubscriber({
    url,
    key: cluster.adminKey,
    variables: { connection, baseId: crm.baseId },
    random: random.for('listener'),
    after,
  });
  goingOn.push(subscriber);
  return subscriber;
}

function notifications(perSecond: number, sender: PingSender): PingLoad {
  const [sandboxUrl, serverUrl] = [cluster.sandbox.url, cluster.balancer.url];
  const load = new PingLoad({ perSecond, sandboxUrl, serverUrl, sender });
  goingOn.push(load);
  return load;
}

afterEach(async () => {
  await Promise.all(goingOn.splice(0).map((one) => one.end()));
  await control(cluster.sandbox.url, 'pings', { drop: false });
});

/** Some take too many starts of processes to be tried among all other tests. */
const testAtLength = isLongRun ? test : test.skip;

const runs = repeats({ suite: 1, long: 5 });

for (let run = 1; run <= runs; run += 1)
  test(
    `whatever dies, is late or gets lost, each subscriber is told every change once and in order (run ${run})`,
    async () => {
      const chance = runs === 1 ? random : random.for(`run ${run}`);
      process.stderr.write(`CHAOS_SEED=${random.seed}, run ${run}\n`);
      const { pairs, figures } = await chaosRun({
        cluster,
        database,
        connection,
        random: chance,
        kills: repeats({ suite: 1, long: 22 }),
        changes: repeats({ suite: 40, long: 2_200 }),
        databaseRestarts: repeats({ suite: 1, long: 5 }),
        subscribers: repeats({ suite: 6, long: 18 }),
        longestUpMs: repeats({ suite: 300, long: 3_000 }),
        longestDatabaseUpMs: repeats({ suite: 600, long: 20_000 }),
        catchUpMs: 60_000,
      });
      report(figures);
      const found = pairs.map(({ subscriber, ledger }) => ({
        lost: subscriber.lost,
        differences: differences(ledger, subscriber.told).slice(0, 5),
      }));
      expect(found).toEqual(found.map(() => ({ lost: [], differences: [] })));
      // And that can fail: with one entry less in the ledger, nobody agrees with it any more.
      for (const { subscriber, ledger } of pairs) {
        const removed = chance.whole(0, ledger.length);
        expect(differences(ledger.toSpliced(removed, 1), subscriber.told)).not.toEqual([]);
      }
    },
    timeLimitMs,
  );

testAtLength(
  'killed under 200 notifications a second, no server loses what it has answered, and it serves again',
  async () => {
    await control(cluster.sandbox.url, 'pings', { drop: true });
    const before = listener(() => cluster.balancer.url);
    await until(() => before.cursor !== null);
    await before.end();
    const start = (await ledgerAfter(cluster, 0)).at(-1)?.sequence ?? 0;
    const sender = await PingSender.of(cluster);
    const kills = repeats({ suite: 1, long: 30 });
    const servingMs: number[] = [];
    const loggedMs: number[] = [];
    let acknowledged = 0;
    let failed = 0;
    const startedAt = performance.now();
    for (let kill = 1; kill <= kills; kill += 1) {
      const victim = random.of(cluster.servers);
      const load = notifications(200, sender);
      await delay(random.between(200, 1_500));
      await victim.kill();
      const killedAt = performance.now();
      const answered = [...load.acknowledged];
      await passLease();
      // Starting takes seconds of the processor; how long others had it meanwhile says nothing of the server.
      const serving = victim
        .start()
        .then(() => servingMs.push((performance.now() - killedAt) / processorTime(victim.pid).slowness));
      await delay(random.between(0, 500));
      await load.end();
      await until(async () => (await logged(answered)) === answered.length, 60_000);
      loggedMs.push(performance.now() - killedAt);
      await serving;
      expect((await fetch(`${victim.url}/health/ready`)).status).toBe(200);
      await until(async () => (await logged(load.acknowledged)) === load.acknowledged.length, 60_000);
      acknowledged += load.acknowledged.length;
      failed += load.failed;
    }
    await control(cluster.sandbox.url, 'pings', { drop: false });
    await addContacts(cluster, 1);
    const ledger = await ledgerAfter(cluster, start);
    const after = listener(() => cluster.balancer.url, before.cursor);
    await until(() => after.told.length >= ledger.length, 60_000);
    report({
      'kills under notifications': kills,
      acknowledged,
      failed,
      slowestServingMs: Math.round(Math.max(...servingMs)),
      slowestLoggedMs: Math.round(Math.max(...loggedMs)),
      seconds: Math.round((performance.now() - startedAt) / 1_000),
    });
    expect({ lost: after.lost, differences: differences(ledger, after.told) }).toEqual({
      lost: [],
      differences: [],
    });
    expect(Math.max(...servingMs)).toBeLessThan(repeats({ suite: 60_000, long: 5_000 }));
  },
  timeLimitMs,
);

/** How many of these transactions are in the log. */
async function logged(transactions: number[]): Promise<number> {
  const [row] = await database.query(
    'SELECT count(DISTINCT upstream_transaction)::int AS count FROM changes WHERE upstream_transaction = ANY($1)',
    [transactions],
  );
  return Number(row?.count);
}

test(
  'a server that is stopped in the middle of a drain is replaced by another, and writes nothing when it wakes',
  async () => {
    const [asleep, awake] = cluster.servers as [ClusterServer, ClusterServer];
    await control(cluster.sandbox.url, 'pings', { drop: true });
    const subscriber = listener(() => awake.url);
    await until(() => subscriber.cursor !== null);
    await until(isIdle);
    const start = (await ledgerAfter(cluster, 0)).at(-1)?.sequence ?? 0;
    const sender = await PingSender.of(cluster);
    await addContacts(cluster, 60);
    // The page is on its way for a while: long enough to fall asleep meanwhile.
    await control(cluster.sandbox.url, 'faults', {
      match: { method: 'GET', path: '/v0/bases/*/webhooks/*/payloads' },
      times: 1,
      kind: 'delay',
      effect: 'after',
      delayMs: 1_000,
    });
    const calls = await payloadCalls();
    expect(await sender.send(asleep.url)).toBe(204);
    await until(async () => (await payloadCalls()) > calls);
    asleep.pause();
    const pausedAt = performance.now();
    await passLease();
    await until(() => subscriber.told.length === 60, 60_000);
    const takenOverMs = performance.now() - pausedAt;
    if (isLongRun) await delay(20_000 - takenOverMs);
    await until(isIdle);
    const rows = () =>
      database.query('SELECT xmin::text, * FROM changes ORDER BY generation, payload, ordinal LIMIT $1', [
        entries,
      ]);
    const entries = Number((await database.query('SELECT count(*) FROM changes'))[0]?.count);
    const before = await rows();
    await noteSteps();
    // Alone, so that the next drain is its own: it begins when the one that it slept through has ended.
    awake.pause();
    asleep.resume();
    await addContacts(cluster, 1);
    expect(await sender.send(asleep.url)).toBe(204);
    await until(async () => (await steps()).length > 0, 60_000);
    await until(isIdle, 60_000);
    awake.resume();
    expect(await rows()).toEqual(before);
    expect(await steps()).toEqual([1]);
    const ledger = await ledgerAfter(cluster, start);
    await until(() => subscriber.told.length >= ledger.length);
    report({ takenOverMs: Math.round(takenOverMs) });
    expect(differences(ledger, subscriber.told)).toEqual([]);
  },
  timeLimitMs,
);

const payloadCalls = async (): Promise<number> =>
  (await control<{ byEndpoint: Record<string, number> }>(cluster.sandbox.url, 'calls')).byEndpoint[
    'listWebhookPayloads'
  ] ?? 0;

/** From now on, writes down by how many payloads a webhook is moved on whenever somebody has appended. */
async function noteSteps(): Promise<void> {
  await database.query('CREATE TABLE steps (step integer)');
  await database.query(`
    CREATE FUNCTION note_step() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO steps VALUES (NEW.next_payload - OLD.next_payload); RETURN NEW; END $$`);
  await database.query(`
    CREATE TRIGGER note_step AFTER UPDATE ON webhooks FOR EACH ROW
      WHEN (NEW.last_payload_at IS DISTINCT FROM OLD.last_payload_at) EXECUTE FUNCTION note_step()`);
}

async function steps(): Promise<unknown[]> {
  return (await database.query('SELECT step FROM steps')).map(({ step }) => step);
}

async function isIdle(): Promise<boolean> {
  const rows = await database.query(
    `SELECT 1 FROM webhooks WHERE state = 'active' AND drain_holder IS NULL AND drain_wanted_at IS NULL`,
  );
  return rows.length === 1;
}

testAtLength(
  'told to stop under load, a server sends its subscribers away with 1012 and exits with 0; they miss nothing',
  async () => {
    const [leaving] = cluster.servers as [ClusterServer];
    let url = leaving.url;
    const subscribers = Array.from({ length: repeats({ suite: 10, long: 100 }) }, () => listener(() => url));
    await until(() => subscribers.every(({ cursor }) => cursor !== null), 30_000);
    const start = (await ledgerAfter(cluster, 0)).at(-1)?.sequence ?? 0;
    const load = notifications(100, await PingSender.of(cluster));
    await until(() => subscribers.some(({ told }) => told.length > 20), 30_000);
    const leftAt = performance.now();
    url = cluster.servers[1]!.url;
    const code = await leaving.stop();
    const tookMs = performance.now() - leftAt;
    await load.end();
    const ledger = await ledgerAfter(cluster, start);
    await until(() => subscribers.every(({ told }) => told.length >= ledger.length), 30_000);
    report({ 'told to stop': subscribers.length, tookMs: Math.round(tookMs), changes: ledger.length });
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(10_000);
    for (const { told, lost, firstClose } of subscribers)
      expect({ firstClose, lost, differences: differences(ledger, told) }).toEqual({
        firstClose: 1012,
        lost: [],
        differences: [],
      });
  },
  timeLimitMs,
);

/** Figures of a long run, for docs/reliability.md. */
function report(figures: object): void {
  if (isLongRun) process.stderr.write(`${JSON.stringify(figures)}\n`);
}
