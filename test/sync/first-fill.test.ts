import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, it } from '@jest/globals';
import { control } from '../support/app.ts';
import { isLongRun, timeLimitMs } from '../support/repeats.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { startCluster, type ServerCluster } from '../support/server-cluster.ts';
import { createSync, expectEqual, readSync, settled, until } from './sync-app.ts';

// Fills of some hundred records are part of the other tests of syncs; these are about 50,000, and take minutes.
const longOnly = isLongRun ? it : it.skip;
// The sandbox's own limit is lifted: it judges 50,000 records by a formula in one go, and what arrives meanwhile comes at once.
const allowance = { calls: 5, windowMs: 1_025 };
/** For pages that cannot be full: the first slices tell how large a table is, and each slice has a last page. */
const spare = 1.03;

const figures: Record<string, unknown> = {};

interface Fill {
  id: string;
  records: number;
  calls: number;
  ms: number;
}

async function fillOf(cluster: ServerCluster): Promise<Fill> {
  const [server] = cluster.servers;
  const connection = await server!.connect({ scopes: 'WITH_WEBHOOKS' });
  const sync = await createSync(server!, connection);
  const [run] = await until(
    () =>
      cluster.database
        .query(
          `SELECT extract(epoch FROM run_finished_at - run_started_at) * 1000 AS ms,
                  (SELECT count(*)::int FROM copied_records WHERE sync_id = $1) AS records
           FROM syncs WHERE id = $1 AND run_finished_at IS NOT NULL`,
          [sync.id],
        )
        .then((rows) => rows.length > 0 && rows),
    'the first fill ends',
    600_000,
  );
  const { progress } = await readSync(server!, sync.id);
  return {
    id: sync.id,
    records: Number(run!['records']),
    calls: progress.upstreamCalls,
    ms: Math.round(Number(run!['ms'])),
  };
}

longOnly.each([5, 400])(
  'takes what the allowance permits, and hardly more, when the upstream answers after %d ms',
  async (latencyMs) => {
    const variables = {
      RATE_LIMIT_CALLS: String(allowance.calls),
      RATE_LIMIT_WINDOW_MS: String(allowance.windowMs),
    };
    const cluster = await startCluster({ size: 1, records: 'large', variables });
    try {
      await control(cluster.sandbox.url, 'limits', { requestsPerSecond: 0, latencyMs });
      const fill = await fillOf(cluster);
      const fewest = Math.ceil(fill.records / 100);
      const permittedMs = (fewest / allowance.calls) * allowance.windowMs;
      figures[`latency ${latencyMs} ms`] = { ...fill, fewest, permittedMs, share: fill.ms / permittedMs };
      await control(cluster.sandbox.url, 'limits', { requestsPerSecond: 0, latencyMs: 0 });
      expect(fill.calls).toBeLessThanOrEqual(fewest * spare);
      expect(fill.ms).toBeLessThanOrEqual(permittedMs * spare);
      const sync = await settled(cluster.servers[0]!, fill.id, 60_000);
      expect(await expectEqual(cluster, sync)).toBe(fill.records);
    } finally {
      await cluster.close();
      process.stderr.write(`${JSON.stringify(figures)}\n`);
    }
  },
  timeLimitMs,
);

/** Heap of the server in megabytes: without a bound it grows by garbage that nobody has to collect. */
const heapMB = 96;

longOnly(
  'keeps its memory flat when nothing holds it back',
  async () => {
    const cluster = await startCluster({
      size: 1,
      records: 'large',
      variables: { NODE_OPTIONS: `--max-old-space-size=${heapMB}` },
    });
    const memory: number[] = [];
    const stop = new AbortController();
    const watch = (async () => {
      for (; !stop.signal.aborted; await wait(250)) memory.push(await residentMB(cluster.servers[0]!.pid));
    })();
    try {
      const fill = await fillOf(cluster);
      const [table] = await cluster.database.query(
        'SELECT sum(octet_length(cells::text)) / 1e6 AS mb FROM copied_records',
      );
      const [start = 0] = memory;
      const most = Math.max(...memory);
      const tableMB = Math.round(Number(table?.['mb']));
      figures['no limit'] = {
        ...fill,
        recordsPerSecond: Math.round(fill.records / (fill.ms / 1_000)),
        residentMB: { start, most, end: memory.at(-1) },
        tableMB,
      };
      expect(most - start).toBeLessThan(tableMB);
    } finally {
      stop.abort();
      await watch;
      await cluster.close();
      process.stderr.write(`${JSON.stringify(figures)}\n`);
    }
  },
  timeLimitMs,
);

async function residentMB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1_024);
}

longOnly(
  'is equal to the upstream, record by record, however often its server is killed',
  async () => {
    const random = SeededRandom.fromEnvironment();
    const cluster = await startCluster({ size: 2, records: 'large' });
    try {
      await control(cluster.sandbox.url, 'limits', { requestsPerSecond: 0, latencyMs: 100 });
      const [first, second] = cluster.servers;
      const connection = await first!.connect({ scopes: 'WITH_WEBHOOKS' });
      const { id } = await createSync(first!, connection);
      let kills = 0;
      const finished = async () =>
        (await cluster.database.query('SELECT 1 FROM syncs WHERE id = $1 AND as_of IS NOT NULL', [id]))
          .length > 0;
      for (; kills < 20 && !(await finished()); kills += 1) {
        await wait(random.between(500, 5_500));
        const server = kills % 2 === 0 ? first! : second!;
        await server.kill();
        await server.start();
      }
      const sync = await settled(first!, id, 300_000);
      figures['killed'] = { seed: random.seed, kills, calls: sync.progress.upstreamCalls };
      expect(kills).toBeGreaterThan(3);
      figures['equal'] = await expectEqual(cluster, sync);
    } finally {
      await cluster.close();
      process.stderr.write(`${JSON.stringify(figures)}\n`);
    }
  },
  timeLimitMs,
);
