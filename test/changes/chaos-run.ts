import { loadavg } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { control } from '../support/app.ts';
import type { RestartablePostgres } from '../support/restartable-postgres.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { ClusterServer, ServerCluster } from '../support/server-cluster.ts';
import type { LedgerChange } from './ledger-comparison.ts';
import { ResumingSubscriber } from './resuming-subscriber.ts';
import { Spoilsport } from './spoilsport.ts';
import { until } from './subscriber.ts';
import { crm } from './upstream-edits.ts';
import { Writer } from './writer.ts';

export interface ChaosOptions {
  cluster: ServerCluster;
  database: RestartablePostgres;
  connection: number;
  random: SeededRandom;
  /** Ends when so many have happened. */
  kills: number;
  changes: number;
  databaseRestarts: number;
  subscribers: number;
  /** Longest time between two kills, and two restarts of the database. */
  longestUpMs: number;
  longestDatabaseUpMs: number;
  /** How long everybody may take to hear the last change, once nothing goes wrong any more. */
  catchUpMs: number;
}

export interface ChaosOutcome {
  /** What happened, and what one of the subscribers was told of it. */
  pairs: { subscriber: ResumingSubscriber; ledger: LedgerChange[] }[];
  figures: Record<string, unknown>;
}

/**
 * Everything that goes wrong in the life of a server goes wrong at once, by chance: servers are killed and started
 * again, PostgreSQL is stopped or killed and started again, pings get lost, come twice, late and in another order, calls
 * for payloads fail, subscribers lose their connection and come back to whichever server. Then it all ends, and the
 * subscribers get the time to hear the rest.
 */
export async function chaosRun(options: ChaosOptions): Promise<ChaosOutcome> {
  const { cluster, random } = options;
  const startedAt = performance.now();
  const subscribers = Array.from({ length: options.subscribers }, (_, index) => subscriber(options, index));
  const writers = ['first', 'second'].map((name) => new Writer(cluster.sandbox.url, random.for(name)));
  const spoilsport = new Spoilsport(cluster.sandbox.url, random.for('spoilsport'));
  const killing = new Killing(cluster.servers, random.for('kills'));
  const over = new AbortController();
  let databaseRestarts = 0;
  try {
    await until(() => subscribers.every(({ cursor }) => cursor !== null), 60_000);
    const start = (await ledgerAfter(cluster, 0)).at(-1)?.sequence ?? 0;
    await fetch(`${cluster.sandbox.url}/_control/calls`, { method: 'DELETE' });
    for (const writer of writers) writer.start(80);
    spoilsport.start();
    const goingOn = [
      restartNowAndThen(options, over.signal, () => (databaseRestarts += 1)),
      cutNowAndThen(subscribers, random.for('cuts'), over.signal),
    ];
    await killing.run(options.kills, options.longestUpMs);
    await until(async () => (await ledgerAfter(cluster, start)).length >= options.changes, 30 * 60_000);
    over.abort();
    await Promise.all(goingOn);
    await Promise.all(writers.map((writer) => writer.end()));
    await spoilsport.end();
    await killing.end();
    // Its ping arrives: nobody has to wait for the timer.
    await writers[0]?.edit();

    const ledger = await ledgerAfter(cluster, start);
    const pairs = subscribers.map((one) => ({
      subscriber: one,
      ledger: one.tableId === null ? ledger : ledger.filter(({ tableId }) => tableId === one.tableId),
    }));
    const doneAt = performance.now();
    // Who does not hear everything is told by the comparison.
    const hasHeardAll = () => pairs.every((pair) => pair.subscriber.told.length >= pair.ledger.length);
    await until(hasHeardAll, options.catchUpMs).catch(() => undefined);
    const { byBase } = await control<{ byBase: Record<string, { highestInOneSecond: number }> }>(
      cluster.sandbox.url,
      'calls',
    );
    const figures = {
      seed: random.seed,
      changes: ledger.length,
      kills: killing.count,
      databaseRestarts,
      subscribers: subscribers.length,
      resumes: subscribers.reduce((sum, { resumes }) => sum + resumes, 0),
      refusals: merged(subscribers.map(({ refusals }) => refusals)),
      caughtUpMs: Math.round(performance.now() - doneAt),
      callsInOneSecond: byBase[crm.baseId]?.highestInOneSecond,
      seconds: Math.round((performance.now() - startedAt) / 1_000),
      load: loadavg()[0]?.toFixed(1),
    };
    return { pairs, figures };
  } finally {
    over.abort();
    await Promise.all([...subscribers, ...writers, spoilsport, killing].map((part) => part.end()));
  }
}

/** One in three comes by the load balancer, the others to a server of their choice; one in five wants one table alone. */
function subscriber({ cluster, connection, random }: ChaosOptions, index: number): ResumingSubscriber {
  const own = random.for(`subscriber ${index}`);
  return new ResumingSubscriber({
    url: () => (index % 3 === 0 ? cluster.balancer.url : own.of(cluster.servers).url),
    key: cluster.adminKey,
    variables: { connection, baseId: crm.baseId, ...(index % 5 === 4 ? { tableId: crm.tableId } : {}) },
    random: own,
  });
}

/** What has happened in the CRM since an entry of the ledger. */
export async function ledgerAfter(
  { sandbox }: Pick<ServerCluster, 'sandbox'>,
  sequence: number,
): Promise<LedgerChange[]> {
  const { changes } = await control<{ changes: LedgerChange[] }>(sandbox.url, `changes?after=${sequence}`);
  return changes.filter(({ baseId }) => baseId === crm.baseId);
}

/** Kills servers and starts them again; at times several are down at once. */
class Killing {
  count = 0;
  readonly #lives: { server: ClusterServer; running: Promise<void> }[];
  readonly #random: SeededRandom;

  constructor(servers: ClusterServer[], random: SeededRandom) {
    this.#lives = servers.map((server) => ({ server, running: Promise.resolve() }));
    this.#random = random;
  }

  async run(kills: number, longestUpMs: number): Promise<void> {
    while (this.count < kills) {
      await delay(this.#random.between(100, longestUpMs));
      const life = this.#random.of(this.#lives);
      await life.running;
      await life.server.kill();
      this.count += 1;
      life.running = startAgain(life.server);
      // Awaited later; a failure to start is told there.
      life.running.catch(() => undefined);
    }
  }

  /** All servers run again. */
  async end(): Promise<void> {
    await Promise.all(this.#lives.map(({ running }) => running));
  }
}

/** As whoever looks after processes does it: one that began while the database was away has ended, and is started again. */
async function startAgain(server: ClusterServer): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await server.start();
    } catch (error) {
      if (tries === 20) throw error;
      await delay(500);
    }
  }
}

async function restartNowAndThen(
  { database, random: all, databaseRestarts, longestDatabaseUpMs }: ChaosOptions,
  signal: AbortSignal,
  onRestart: () => void,
): Promise<void> {
  const random = all.for('database');
  for (let count = 0; count < databaseRestarts && !signal.aborted; count += 1) {
    await delay(random.between(500, longestDatabaseUpMs), undefined, { signal }).catch(() => undefined);
    await database.restart(random.of(['stopped', 'killed'] as const), random.between(0, 2_000));
    onRestart();
  }
}

async function cutNowAndThen(
  subscribers: ResumingSubscriber[],
  random: SeededRandom,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await delay(random.between(50, 500), undefined, { signal }).catch(() => undefined);
    random.of(subscribers).cut();
  }
}

function merged(counts: Record<string, number>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const [name, count] of counts.flatMap((one) => Object.entries(one)))
    sums[name] = (sums[name] ?? 0) + count;
  return sums;
}
