import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { addContacts, edit } from '../../changes/upstream-edits.ts';
import type { TestApp } from '../../support/app.ts';
import { isLongRun, repeats, timeLimitMs } from '../../support/repeats.ts';
import { startCluster, type ServerCluster } from '../../support/server-cluster.ts';
import { EndpointServer } from './endpoint-server.ts';
import { createTrigger, triggerOf } from './operations.ts';

/*
 * Three servers as processes of their own, killed one after the other and started again, while records change and the
 * endpoint now and then refuses. For the long run: each kill costs the fifteen seconds of a lease.
 */

const inTheLongRun = isLongRun ? test : test.skip;
const rounds = repeats({ suite: 1, long: 20 });
const endpoint = new EndpointServer();
let cluster: ServerCluster;

beforeAll(async () => {
  if (!isLongRun) return;
  await endpoint.start();
  cluster = await startCluster({
    size: 3,
    variables: { TRIGGER_ALLOWED_HOSTS: `127.0.0.1:${endpoint.port}` },
  });
}, 60_000);
afterAll(async () => {
  await cluster?.close();
  await endpoint.close();
});

/** Longer than a lease and the retries behind it. */
const patienceMs = 90_000;

inTheLongRun(
  'nothing is lost, what is told twice has the same event id, and each record is told in order',
  async () => {
    const [first] = cluster.servers;
    const connection = await first!.connect();
    const { id } = await createTrigger(first!, { connection, endpoint: endpoint.url, kinds: ['UPDATED'] });
    // Edits go to the sandbox alone.
    const upstream = { sandbox: cluster.sandbox } as unknown as TestApp;
    const records = await addContacts(upstream, 5);
    endpoint.answer = (response) => response.writeHead(Math.random() < 0.1 ? 500 : 204).end();
    let made = 0;
    for (let round = 0; round < rounds; round += 1) {
      const victim = cluster.servers[round % 3]!;
      for (const record of records)
        await edit(upstream, { update: [{ id: record, fields: { Phone: String((made += 1)) } }] });
      await victim.kill();
      for (const record of records)
        await edit(upstream, { update: [{ id: record, fields: { Phone: String((made += 1)) } }] });
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
