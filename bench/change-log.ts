import { reportBars } from './bars.ts';
import { changeIn, document } from './fanout-event.ts';
import type { Child } from './child.ts';
import { columns, median, quantile, thousands } from './report.ts';
import type { Writes, Written } from './servers/log-writer.ts';
import { onStage, type Stage } from './stage.ts';
import { Subscriber, type Told } from './subscriber.ts';

export const changeLog = 'change-log';
export const explainChangeLog = 'appending to the log, and how soon subscribers have it, a minute';

const rounds = 5;
const lanes = 10;
const rowsPerBatch = 500;
const loads = [
  { label: 'commits/s, one log', writes: { commits: 500, rowsPerCommit: 1, into: 1 } },
  { label: `commits/s, ${lanes} logs`, writes: { commits: 2_000, rowsPerCommit: 1, into: lanes } },
  {
    label: `rows/s, ${rowsPerBatch} a commit`,
    writes: { commits: 10, rowsPerCommit: rowsPerBatch, into: 1 },
  },
] satisfies { label: string; writes: Writes }[];
const ways = [
  { label: 'ours', ask: 'append' },
  { label: 'pg, one INSERT', ask: 'insertPlainly' },
  { label: 'pg, answered early', ask: 'insertEarly' },
];

/** Slower than the bell that wakes other instances, which rings at most every 50 ms. */
const paced: Writes = { commits: 300, rowsPerCommit: 1, into: 'followed', paceMs: 60 };
/**
 * What comes first on an instance is told by code that is still being compiled, and read by statements that are still being
 * planned.
 */
const warmUps = 50;
const arrivalMs = 10_000;

export async function benchChangeLog(profileDir: string | null): Promise<void> {
  await onStage(play, profileDir);
}

async function play({ start }: Stage): Promise<void> {
  const here = await start('ours-with-log.ts');
  const there = await start('ours-with-log.ts');
  const rates = await appends(here);
  console.log(`\n## Appends\n\n${columns(['', ...loads.map(({ label }) => label)], rateRows(rates))}`);
  const readers = [
    { label: 'on the instance that commits', told: await arrivals(here, here) },
    { label: 'on another instance', told: await arrivals(here, there) },
  ];
  const times = readers.map(({ label, told }) => [
    label,
    quantile(told, 0.5).toFixed(2),
    quantile(told, 0.99).toFixed(2),
  ]);
  console.log(`\n## Commit to subscriber\n\n${columns(['', 'p50 ms', 'p99 ms'], times)}`);
  const [oneLog = [], manyLogs = [], batches = []] = rates.get('ours') ?? [];
  const bars = [
    { what: 'one payload per commit, one log', unit: 'commits/s', reached: median(oneLog), atLeast: 1_500 },
    {
      what: `one payload per commit, ${lanes} logs`,
      unit: 'commits/s',
      reached: median(manyLogs),
      atLeast: 1_500,
    },
    { what: 'in batches', unit: 'rows/s', reached: median(batches), atLeast: 20_000 },
    ...readers.map(({ label, told }) => ({
      what: `commit to subscriber, p99, ${label}`,
      unit: 'ms',
      reached: quantile(told, 0.99),
      atMost: 10,
    })),
  ];
  reportBars(bars);
}

/** @returns for each way and load the rates of all rounds */
async function appends(child: Child): Promise<Map<string, number[][]>> {
  const rates = new Map(ways.map(({ label }) => [label, loads.map((): number[] => [])]));
  for (let round = -1; round < rounds; round += 1) {
    for (const [index, { writes }] of loads.entries()) {
      for (const { label, ask } of ways) {
        const { tookMs, committedAt } = await child.ask<Written>(ask, writes);
        if (committedAt.length !== writes.commits)
          throw new Error(`${label} made ${committedAt.length} commits`);
        const perSecond = (writes.commits * writes.rowsPerCommit) / (tookMs / 1_000);
        if (round >= 0) rates.get(label)?.[index]?.push(perSecond);
      }
    }
  }
  const written =
    loads.reduce((sum, { writes }) => sum + writes.commits * writes.rowsPerCommit, 0) * (rounds + 1);
  const { changes, plainly } = await child.ask<{ changes: number; plainly: number }>('rows');
  const peers = ways.length - 1;
  if (changes !== written || plainly !== written * peers)
    throw new Error(
      `${written} rows were written by each; the log has ${changes}, the others' table ${plainly}`,
    );
  return rates;
}

function rateRows(rates: Map<string, number[][]>): string[][] {
  const rows = [...rates].map(([label, all]) => [label, ...all.map((each) => thousands(median(each)))]);
  const [[, ours] = ['', []], ...peers] = [...rates];
  const ratios = peers.map(([label, theirs]) => [
    `ours ÷ ${label}`,
    ...ours.map((each, index) => (median(each) / median(theirs[index]!)).toFixed(2)),
  ]);
  return [...rows, ...ratios];
}

/** @returns how long each change took from its commit at `writer` to a subscriber of `server`, in order */
async function arrivals(writer: Child, server: Child): Promise<number[]> {
  const variables = { connection: server.connection };
  const subscriber = await Subscriber.open('ours', server, { query: document, variables });
  await until(() => subscriber.position !== null, 'a subscription began');
  const { committedAt } = await writer.ask<Written>('append', paced);
  await until(() => subscriber.told.length >= paced.commits, 'all changes were told');
  requireOrder(subscriber.told);
  const spans = subscriber.told.map(({ at }, index) => at - committedAt[index]!).slice(warmUps);
  subscriber.close();
  return spans.sort((a, b) => a - b);
}

/** The name that the writer gives counts payloads. @throws Error unless each follows the one before */
function requireOrder(told: Told[]): void {
  const numbers = told.map(({ message }) =>
    parseInt(String(changeIn(message).fields[0]?.current).slice(6), 10),
  );
  const wrong = numbers.findIndex((number, index) => number !== numbers[0]! + index);
  if (wrong !== -1 || told.length !== paced.commits)
    throw new Error(`${told.length} changes were told, number ${wrong} out of order: ${numbers.join(' ')}`);
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + arrivalMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`Waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
