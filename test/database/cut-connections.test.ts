import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { BreakingDoor } from '../support/breaking-door.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { isLongRun, repeats, timeLimitMs } from '../support/repeats.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { startCluster, type ServerCluster } from '../support/server-cluster.ts';

/*
 * Connections to the database that break all the time, at any byte, with and without PostgreSQL's last words, under a
 * server that reads, writes and is listened to.
 */

const base = 'baseId: "appABC123", tableId: "tblDEF456"';
let door: BreakingDoor;
let cluster: ServerCluster;

beforeAll(async () => {
  const database = await createTestDatabase();
  door = await BreakingDoor.start(database.url);
  const url = new URL(database.url);
  url.host = `127.0.0.1:${door.port}`;
  const behindDoor: TestDatabase = {
    url: url.href,
    query: (text, params) => database.query(text, params),
    close: async () => {
      await door.close();
      await database.close();
    },
  };
  cluster = await startCluster({ size: 1, database: behindDoor });
}, 60_000);
afterAll(() => cluster?.close());

test(
  'whatever breaks, the server lives, says that it is the database, and goes on',
  async () => {
    const random = SeededRandom.fromEnvironment();
    if (isLongRun) process.stderr.write(`CHAOS_SEED=${random.seed}\n`);
    const server = cluster.servers[0]!;
    const connection = await server.connect();
    const documents = [
      '{ connections { name ... on CalendlyConnection { state webhooks { id } } } }',
      `{ base(connection: ${connection}, baseId: "appABC123") { table(id: "tblDEF456") { records(first: 5) { nodes { id } } } } }`,
      `mutation { createRecords(input: { connection: ${connection}, ${base}, records: [{ fields: { Name: "x" } }] }) { __typename ... on Error { code } } }`,
      'mutation { createConnection(input: { type: "calendly", name: "$name", clientId: "a", clientSecret: "b" }) { __typename ... on Error { code } } }',
    ];
    let names = 0;
    const operation = (document: string): string => document.replace('$name', `Connection ${(names += 1)}`);
    for (const document of documents)
      expect(await server.graphql(operation(document))).not.toHaveProperty('errors');
    const codes = new Map<string, number>();
    const over = new AbortController();
    const ask = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const answer = await server.graphql(operation(random.of(documents)));
        for (const [code] of JSON.stringify(answer).matchAll(/(?<="code":")\w+/g))
          codes.set(code, (codes.get(code) ?? 0) + 1);
      }
    };
    const listen = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const signal = AbortSignal.timeout(random.whole(50, 700));
        const query = `subscription { recordChanges(connection: ${connection}, baseId: "appABC123") { __typename } }`;
        await fetch(`${server.url}/graphql`, {
          method: 'POST',
          headers: {
            accept: 'text/event-stream',
            'content-type': 'application/json',
            authorization: `Bearer ${cluster.adminKey}`,
          },
          body: JSON.stringify({ query }),
          signal,
        })
          .then((response) => response.text())
          .catch(() => undefined);
      }
    };
    const asking = [...Array.from({ length: 8 }, ask), listen(), listen()];
    let breaks = 0;
    const until = performance.now() + repeats({ suite: 3_000, long: 60_000 });
    while (performance.now() < until) {
      const isKilled = random.between(0, 1) < 0.5;
      door.isLast = () => isKilled;
      await wait(random.between(0, 40));
      door.breakAll(random.of(['with last words', 'closed', 'reset']));
      door.isLast = () => false;
      await wait(random.between(0, 200));
      breaks += 1;
    }
    over.abort();
    if (isLongRun) process.stderr.write(`${JSON.stringify({ breaks, ...Object.fromEntries(codes) })}\n`);
    // A server that has died answers nothing, and this rejects.
    await Promise.all(asking);
    const unforeseen = /"msg":"(uncaughtException|unhandledRejection|unexpected error)"/;
    expect(server.output.split('\n').filter((line) => unforeseen.test(line))).toEqual([]);
    expect([...codes.keys()]).toEqual(['DATABASE_UNAVAILABLE']);
    expect(await server.graphql('{ connections { name } }')).not.toHaveProperty('errors');
  },
  timeLimitMs,
);
