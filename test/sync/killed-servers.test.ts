import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { control, type TestApp } from '../support/app.ts';
import { isLongRun, timeLimitMs } from '../support/repeats.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { startCluster, type ServerCluster } from '../support/server-cluster.ts';
import { until } from './sync-app.ts';
import { TwoWayTable } from './two-way-table.ts';

/*
 * Two servers as processes of their own, killed by chance in the middle of what they send, and now and then stopped while
 * the upstream is slow. For the long run: each kill costs the fifteen seconds of a lease. What was drawn can be drawn again
 * with CHAOS_SEED; what the machine does meanwhile cannot.
 */
const inTheLongRun = isLongRun ? test : test.skip;
const kills = 15;
/** A stop has ten seconds. */
const stopMs = 10_000;
/** Two leases end one after the other, at most: that of the dead one, and that of a call whose answer it took with it. */
const sendsWithinMs = 60_000;
const random = SeededRandom.fromEnvironment();
let cluster: ServerCluster;

beforeAll(async () => {
  if (isLongRun) cluster = await startCluster({ size: 2 });
}, 60_000);
afterAll(() => cluster?.close());

inTheLongRun(
  'however often servers are killed while they send, both sides come to the same and nothing is doubled',
  async () => {
    process.stderr.write(`CHAOS_SEED=${random.seed}\n`);
    const { sandbox, database, servers } = cluster;
    const app = { sandbox, database, graphql: servers[0]!.graphql } as unknown as TestApp;
    const tableId = await TwoWayTable.upstream(app);
    const table = await TwoWayTable.make(app, await servers[0]!.connect(), tableId, {});
    await control(sandbox.url, 'limits', { requestsPerSecond: 0, latencyMs: 150 });
    const points = new Map<string, number>();
    const chance = random.for('edits');
    const editSome = async (): Promise<void> => {
      for (let count = chance.whole(5, 40); count > 0; count -= 1) {
        const dice = chance.between(0, 1);
        const known = [...points.keys()];
        const name =
          dice < 0.5 || known.length < 10 ? `row ${points.size} ${count} ${dice}` : chance.of(known);
        const value = chance.whole(0, 1_000);
        if (!points.has(name))
          await table.query('INSERT INTO $table (name, points) VALUES ($1, $2)', [name, value]);
        else if (dice < 0.85)
          await table.query('UPDATE $table SET points = $2 WHERE name = $1', [name, value]);
        else await table.query('DELETE FROM $table WHERE name = $1', [name]);
        if (dice >= 0.85 && points.has(name)) points.delete(name);
        else points.set(name, value);
      }
    };
    const moments = random.for('moments');
    const lease = async (): Promise<{ holder: string | null; number: number; until: Date }> => {
      const [row] = await table.query(
        `SELECT holder, lease_number AS number, coalesce(lease_until, '-infinity') AS until FROM syncs WHERE id = $1`,
        [table.syncId],
      );
      return row as { holder: string | null; number: number; until: Date };
    };
    const numbers = new Set<number>();
    let sending = 0;
    const stops: number[] = [];
    for (let round = 0; round < kills; round += 1) {
      await editSome();
      // Else a quick machine kills the next one while the lease of the last one still lasts, and nobody ever works.
      const before = await lease();
      await until(
        async () => (await lease()).until > before.until && (await table.left()).sending > 0,
        'whoever lives sends changes',
        sendsWithinMs,
      );
      await wait(moments.between(0, 1_000));
      sending += (await table.left()).sending > 0 ? 1 : 0;
      const held = await lease();
      numbers.add(held.number);
      // Whoever works at it is one of the two; the other one goes on.
      const victim = moments.of(servers);
      if (round % 5 === 4) {
        const { id } = await control<{ id: string }>(sandbox.url, 'faults', {
          match: { path: `/v0/**/${tableId}` },
          kind: 'delay',
          effect: 'after',
          delayMs: 60_000,
        });
        await editSome();
        await wait(1_500);
        const begun = performance.now();
        expect(await victim.stop()).toBe(0);
        stops.push(Math.round(performance.now() - begun));
        await fetch(`${sandbox.url}/_control/faults?id=${id}`, { method: 'DELETE' });
      } else {
        // Both, so that whoever holds it is killed.
        await (held.holder && moments.between(0, 1) < 0.5
          ? Promise.all(servers.map((server) => server.kill()))
          : victim.kill());
      }
      await editSome();
      await Promise.all(servers.filter(({ pid }) => pid === 0).map((server) => server.start()));
    }
    await table.quiet(180_000);
    process.stderr.write(
      `${JSON.stringify({ seed: random.seed, kills, sending, leases: numbers.size, stops, records: points.size })}\n`,
    );
    const { omnera, calendly } = await table.sides();
    expect(omnera).toEqual(calendly);
    const records = [...(await table.records()).values()];
    expect(records).toHaveLength(points.size);
    expect(new Map(records.map((cells) => [cells['name'] as string, cells['points'] as number]))).toEqual(
      points,
    );
    expect(sending).toBeGreaterThan(0);
    expect(numbers.size).toBeGreaterThan(kills / 3);
    for (const ms of stops) expect(ms).toBeLessThan(stopMs);
  },
  timeLimitMs,
);
