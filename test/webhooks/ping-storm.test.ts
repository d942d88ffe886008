import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { startTestApp, type TestApp } from '../support/app.ts';
import { isLongRun, repeats, timeLimitMs } from '../support/repeats.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { ledgerAfter } from '../changes/chaos-run.ts';
import { differences } from '../changes/ledger-comparison.ts';
import { ResumingSubscriber } from '../changes/resuming-subscriber.ts';
import { until } from '../changes/subscriber.ts';
import { crm, dropPings } from '../changes/upstream-edits.ts';
import { Writer } from '../changes/writer.ts';
import { PingSender } from './ping-sender.ts';

const random = SeededRandom.fromEnvironment();
/** Within which the notifications of one moment are spread. */
const spreadMs = repeats({ suite: 1_000, long: 60_000 });
const edits = repeats({ suite: 60, long: 3_000 });
const pauseMs = repeats({ suite: 5, long: 20 });

let app: TestApp;
let connection: number;
beforeAll(async () => {
  process.stderr.write(`CHAOS_SEED=${random.seed}\n`);
  app = await startTestApp();
  connection = await app.connect();
});
afterAll(() => app.close());

it(
  'logs each change once and in order when its notifications come three times, shuffled, forged or not at all',
  async () => {
    await dropPings(app, true);
    const variables = { connection, baseId: crm.baseId };
    const subscriber = new ResumingSubscriber({ url: () => app.url, key: app.adminKey, variables, random });
    try {
      await until(() => subscriber.cursor !== null);
      const start = (await ledgerAfter(app, 0)).at(-1)?.sequence ?? 0;
      const sender = await PingSender.of(app);
      const writer = new Writer(app.sandbox.url, random);
      const sent: Promise<{ forged: boolean; status: number | null }>[] = [];
      const later = async (forged: boolean) => {
        await delay(random.between(0, spreadMs));
        return { forged, status: await sender.send(app.url, { forged }) };
      };
      for (let edit = 1; edit <= edits; edit += 1) {
        await writer.edit();
        const isLost = random.between(0, 1) < 0.1;
        if (!isLost) sent.push(later(false), later(false), later(false));
        if (random.between(0, 1) < 0.01 || edit === 1) sent.push(later(true));
        await delay(pauseMs);
      }
      const answers = await Promise.all(sent);
      expect(answers.filter(({ forged, status }) => status !== (forged ? 401 : 204))).toEqual([]);
      // The last word is heard, as it would be by the timer.
      expect(await sender.send(app.url)).toBe(204);
      const ledger = await ledgerAfter(app, start);
      await until(() => subscriber.told.length >= ledger.length);
      if (isLongRun)
        process.stderr.write(`${JSON.stringify({ edits, pings: answers.length, changes: ledger.length })}\n`);
      expect(differences(ledger, subscriber.told)).toEqual([]);
      expect(await lastNames()).toEqual(await presentNames());
    } finally {
      await subscriber.end();
    }
  },
  timeLimitMs,
);

const nameField = async (): Promise<string> => {
  const { data } = await app.graphql(
    `query ($c: Int!) { base(connection: $c, baseId: "${crm.baseId}") { table(id: "${crm.tableId}") { fields { id name } } } }`,
    { c: connection },
  );
  return data.base.table.fields.find(({ name }: { name: string }) => name === 'Name').id as string;
};

/** What the log says that each contact is called, by id. */
async function lastNames(): Promise<Record<string, unknown>> {
  const rows = await app.database.query(
    `SELECT DISTINCT ON (record_id) record_id, kind, cells -> $1 AS name FROM changes WHERE table_id = $2
     ORDER BY record_id, generation DESC, payload DESC, ordinal DESC`,
    [await nameField(), crm.tableId],
  );
  return Object.fromEntries(
    rows.filter(({ kind }) => kind !== 'deleted').map(({ record_id, name }) => [String(record_id), name]),
  );
}

/** What those contacts are called upstream. */
async function presentNames(): Promise<Record<string, unknown>> {
  const rows = await app.database.query('SELECT DISTINCT record_id FROM changes WHERE table_id = $1', [
    crm.tableId,
  ]);
  const found: Record<string, unknown> = {};
  for (let from = 0; from < rows.length; from += 1_000) {
    const { data } = await app.graphql(
      `query ($c: Int!, $ids: [String!]!) { base(connection: $c, baseId: "${crm.baseId}") { table(id: "${crm.tableId}") { recordsById(ids: $ids) { id text(field: "Name") } } } }`,
      { c: connection, ids: rows.slice(from, from + 1_000).map(({ record_id }) => record_id) },
    );
    for (const record of data.base.table.recordsById as ({ id: string; text: string } | null)[])
      if (record) found[record.id] = record.text;
  }
  return found;
}
