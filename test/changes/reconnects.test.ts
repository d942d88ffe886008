import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { startTestApp, type TestApp } from '../support/app.ts';
import { isLongRun, repeats, timeLimitMs } from '../support/repeats.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { ledgerAfter } from './chaos-run.ts';
import { differences } from './ledger-comparison.ts';
import { ResumingSubscriber } from './resuming-subscriber.ts';
import { until } from './subscriber.ts';
import { crm } from './upstream-edits.ts';
import { Writer } from './writer.ts';

const random = SeededRandom.fromEnvironment();
const clients = repeats({ suite: 15, long: 1_000 });
const reconnects = repeats({ suite: 3, long: 20 });

let first: TestApp;
let second: TestApp;
let connection: number;
const subscribers: ResumingSubscriber[] = [];

beforeAll(async () => {
  process.stderr.write(`CHAOS_SEED=${random.seed}\n`);
  first = await startTestApp();
  second = await first.another({ publicUrl: first.url });
  connection = await first.connect();
});
afterAll(async () => {
  await Promise.all(subscribers.map((subscriber) => subscriber.end()));
  await second.close();
  await first.close();
});

it(
  `misses nothing and hears nothing twice, whoever of ${clients} comes back ${reconnects} times to either instance`,
  async () => {
    const startedAt = performance.now();
    for (let index = 0; index < clients; index += 1) {
      const own = random.for(`client ${index}`);
      subscribers.push(
        new ResumingSubscriber({
          url: () => own.of([first.url, second.url]),
          key: first.adminKey,
          variables: { connection, baseId: crm.baseId },
          random: own,
        }),
      );
    }
    await until(() => subscribers.every(({ cursor }) => cursor !== null), 60_000);
    const start = (await ledgerAfter(first, 0)).at(-1)?.sequence ?? 0;
    const writer = new Writer(first.sandbox.url, random.for('writer'));
    writer.start(repeats({ suite: 20, long: 150 }));
    const cutting = random.for('cuts');
    while (subscribers.some(({ resumes }) => resumes < reconnects)) {
      // Those who are behind, wherever they stand: in the backlog, at the hand-over to what comes live, or waiting.
      const behind = subscribers.filter(({ resumes }) => resumes < reconnects);
      for (let cuts = 0; cuts < clients / 20; cuts += 1) cutting.of(behind).cut();
      await delay(cutting.between(0, 60));
    }
    await writer.end();
    const ledger = await ledgerAfter(first, start);
    await until(() => subscribers.every(({ told }) => told.length >= ledger.length), 60_000).catch(
      () => undefined,
    );
    if (isLongRun)
      process.stderr.write(
        `${JSON.stringify({ clients, resumes: subscribers.reduce((sum, { resumes }) => sum + resumes, 0), changes: ledger.length, seconds: Math.round((performance.now() - startedAt) / 1_000) })}\n`,
      );
    const wrong = subscribers.filter(
      ({ told, lost }) => lost.length > 0 || differences(ledger, told).length > 0,
    );
    expect(
      wrong.map(({ told, lost }) => ({ lost, differences: differences(ledger, told).slice(0, 5) })),
    ).toEqual([]);
  },
  timeLimitMs,
);
