import { request } from 'node:http';
import { barLines, type Bar } from './bars.ts';
import type { Child } from './child.ts';
import { document } from './fanout-event.ts';
import { columns, median, quantile } from './report.ts';
import { onStage, type Stage } from './stage.ts';
import { Subscriber } from './subscriber.ts';

export const storm = 'storm';
export const explainStorm =
  '1,000 subscribers who come at once, and who asks something meanwhile, under a minute';

const subscribers = 1_000;
const rounds = 5;
const warmUps = 300;
/** From one answer to the next question, in milliseconds. */
const pauseMs = 5;
const patienceMs = 30_000;

export async function benchStorm(profileDir: string | null): Promise<void> {
  await onStage(play, profileDir);
}

async function play({ start }: Stage): Promise<void> {
  const child = await start('ours-with-log.ts');
  const subscription = { query: document, variables: { connection: child.connection } };
  // It begins the log, so that all others find one.
  const first = await Subscriber.open('ours', child, subscription);
  for (let index = 0; index < warmUps; index += 1) await ask(child);
  const rows: string[][] = [];
  const [took, asked]: number[][] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    const cpu = await child.ask<number>('cpuMs');
    const stop = askMeanwhile(child);
    const startedAt = performance.now();
    const opened = Array.from({ length: subscribers }, () => Subscriber.open('ours', child, subscription));
    const all = await Promise.all(opened);
    while (!all.every(({ position }) => position !== null)) {
      if (performance.now() - startedAt > patienceMs) throw new Error('Not all subscriptions began.');
      await pause();
    }
    const ms = performance.now() - startedAt;
    const answers = await stop();
    const cpuMs = (await child.ask<number>('cpuMs')) - cpu;
    took?.push(ms);
    asked?.push(...answers);
    rows.push([
      String(round + 1),
      ms.toFixed(0),
      cpuMs.toFixed(0),
      String(answers.length),
      answers.at(-1)!.toFixed(0),
    ]);
    for (const subscriber of all) subscriber.close();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  first.close();
  const head = ['round', 'all began, ms', 'CPU ms', 'queries', 'slowest ms'];
  console.log(`\n## ${subscribers} come at once\n\n${columns(head, rows)}`);
  const sorted = asked!.sort((a, b) => a - b);
  const bars: Bar[] = [
    { what: 'a query meanwhile, p99', unit: 'ms', reached: quantile(sorted, 0.99), atMost: 250 },
  ];
  console.log(`\nAll began after ${median(took!).toFixed(0)} ms (median).\n\n## Bars\n${barLines(bars)}`);
}

/** Asks again and again. @returns ends it, with the time that each answer took, in milliseconds, shortest first */
function askMeanwhile(child: Child): () => Promise<number[]> {
  const took: number[] = [];
  let isOver = false;
  const asking = (async () => {
    while (!isOver) {
      took.push(await ask(child));
      await pause();
    }
  })();
  return async () => {
    isOver = true;
    await asking;
    return took.sort((a, b) => a - b);
  };
}

/** @returns how long an answer took, in milliseconds */
function ask({ url, headers, connection }: Child): Promise<number> {
  const body = JSON.stringify({ query: `{ connection(id: ${connection ?? 0}) { id state } }` });
  const askedAt = performance.now();
  return new Promise((resolve, reject) => {
    const asked = request(url, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    });
    asked.once('error', reject);
    asked.once('response', (response) => {
      if (response.statusCode !== 200) reject(new Error(`A query was answered with ${response.statusCode}`));
      response.resume().once('end', () => resolve(performance.now() - askedAt));
    });
    asked.end(body);
  });
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, pauseMs));
}
