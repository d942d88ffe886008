import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { addContacts, edit } from '../../changes/upstream-edits.ts';
import type { TestApp } from '../../support/app.ts';
import { isLongRun, repeats, timeLimitMs } from '../../support/repeats.ts';
import { RestartablePostgres } from '../../support/restartable-postgres.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { startCluster, type ServerCluster } from '../../support/server-cluster.ts';
import { EndpointServer } from './endpoint-server.ts';
import { createTrigger, triggerOf } from './operations.ts';

/*
 * Three servers as processes of their own, killed by chance and started again, while records change, the endpoint now and
 * then refuses, another one hangs all the time, and PostgreSQL restarts in the midst. For the long run: each kill costs the
 * fifteen seconds of a lease. What was drawn can be drawn again with CHAOS_SEED; what the machine does meanwhile cannot.
 */

const inTheLongRun = isLongRun ? test : test.skip;
const rounds = repeats({ suite: 1, long: 20 });
const random = SeededRandom.fromEnvironment();
const endpoint = new EndpointServer();
const hanging = new EndpointServer();
let database: RestartablePostgres;
let cluster: ServerCluster;

beforeAll(async () => {
  if (!isLongRun) return;
  process.stderr.write(`CHAOS_SEED=${random.seed}\n`);
  await Promise.all([endpoint.start(), hanging.start()]);
  database = await RestartablePostgres.start();
  const allowed = [endpoint, hanging].map(({ port }) => `127.0.0.1:${port}`).join();
  cluster = await startCluster({ size: 3, variables: { TRIGGER_ALLOWED_HOSTS: allowed }, database });
}, 60_000);
afterAll(async () => {
  await cluster?.close();
  await Promise.all([endpoint.close(), hanging.close()]);
});

/** Longer than a lease and the retries behind it. */
const patienceMs = 90_000;
/** Longer than a lease, and than an endpoint may take with its answer and the rest of it. */
const leaseMs = 20_000;

/** Which deliveries are held now, and by which lease. */
const leases = async (): Promise<string[]> =>
  (
    await database.query(
      `SELECT id || '/' || lease_holder AS lease FROM trigger_deliveries WHERE lease_until > clock_timestamp()`,
    )
  ).map(({ lease }) => String(lease));

inTheLongRun(
  'nothing is lost, what is told twice has the same event id, and each record is told in order',
  async () => {
    const [first] = cluster.servers;
    const connection = await first!.connect();
    const { id } = await createTrigger(first!, { connection, endpoint: endpoint.url, kinds: ['UPDATED'] });
    // Edits go to the sandbox alone.
    const upstream = { sandbox: cluster.sandbox } as unknown as TestApp;
    const records = await addContacts(upstream, 5);
    // It keeps its deliveries under way in every process, so that leases are always being renewed.
    hanging.answer = () => undefined;
    await createTrigger(first!, { connection, endpoint: hanging.url, kinds: ['UPDATED'] });
    const answers = random.for('answers');
    endpoint.answer = (response) => response.writeHead(answers.between(0, 1) < 0.1 ? 500 : 204).end();
    const victims = random.for('victims');
    const restarts = random.for('restarts');
    let made = 0;
    const editAll = async (): Promise<void> => {
      for (const record of records)
        await edit(upstream, { update: [{ id: record, fields: { Phone: String((made += 1)) } }] });
    };
    for (let round = 0; round < rounds; round += 1) {
      const victim = victims.of(cluster.servers);
      await editAll();
      await victim.kill();
      // Beside the edits, and with deliveries under way whose outcomes can't be stored.
      const restarting =
        round === Math.floor(rounds / 2)
          ? database.restart(restarts.of(['stopped', 'killed'] as const), restarts.whole(0, 3_000))
          : Promise.resolve();
      await editAll();
      await restarting;
      await victim.start();
    }
    const deadline = Date.now() + patienceMs + rounds * 1_000;
    const phones = (record: string): string[] =>
      endpoint.events
        .filter(({ data }) => data.recordId === record)
        .map(({ data }) => {
          const changes = data['changes'] as unknown as { name: string; current: string }[];
          return changes.find(({ name }) => name === 'Phone')!.current;
        });
    const isDone = async (): Promise<boolean> =>
      records.every((record, place) => phones(record).at(-1) === String(made - records.length + 1 + place)) &&
      (await triggerOf(first!, id)).health.waiting === 0;
    while (!(await isDone())) {
      if (Date.now() > deadline) throw new Error(`Not delivered: ${JSON.stringify(records.map(phones))}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    // No attempt takes longer than a lease: one that outlives it is held for a delivery that nobody is making.
    const before = await leases();
    await new Promise((resolve) => setTimeout(resolve, leaseMs));
    const after = await leases();
    expect(before.filter((one) => after.includes(one))).toEqual([]);
    expect(
      await database.query(
        `SELECT status FROM trigger_deliveries WHERE lease_until IS NOT NULL AND (status <> 'WAITING' OR trigger_id = $1)`,
        [id],
      ),
    ).toEqual([]);
    for (const record of records) {
      const numbers = phones(record).map(Number);
      // A repetition stands right behind what it repeats: nothing of the record overtakes it.
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
      expect(new Set(numbers).size).toBe(2 * rounds);
    }
    // What was told twice had the same event id: there are as many ids as changes.
    const ids = new Set(endpoint.deliveries.map(({ headers }) => headers['webhook-id']));
    expect(ids.size).toBe(made);
  },
  timeLimitMs,
);
