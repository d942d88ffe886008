import { reportBars, type Bar } from './bars.ts';
import { askMeanwhile } from './asking.ts';
import type { Child } from './child.ts';
import { baseId } from './contacts.ts';
import { document } from './fanout-event.ts';
import { columns, median, quantile, thousands } from './report.ts';
import type { Memory } from './servers/memory.ts';
import { onStage, type Stage } from './stage.ts';
import { Subscriber, type Subscription } from './subscriber.ts';

export const storm = 'storm';
export const explainStorm =
  '1,000 and 5,000 subscribers who come back at once, and who asks something meanwhile, two minutes';

/** How many come back, how often. */
const stages = [
  { subscribers: 1_000, rounds: 5 },
  { subscribers: 5_000, rounds: 3 },
];
const lookMs = 20;
/** From the goodbye of all to the next return, in milliseconds. */
const calmMs = 1_500;
const patienceMs = 60_000;

/** The same as that of the others, from where the subscriber was before. */
const comingBack = document
  .replace('$connection: Int!', '$connection: Int!, $after: Cursor')
  .replace(`baseId: "${baseId}"`, `baseId: "${baseId}", after: $after`);

/** A connection that the system could not hold is tried again after a moment, as clients do, in milliseconds. */
const againMs = 250;
const maxTries = 40;

interface Contestant {
  label: string;
  child: Child;
  subscription: Subscription;
  question: string;
  /** How many of these have begun, of whom there was none when the server counted so many. */
  begun(all: Subscriber[], before: number): Promise<number>;
  returns: Return[];
  /** In MB: with nobody there, and with all of them. */
  memory: { before: Memory; after: Memory } | null;
}

/** One return of all, in milliseconds. */
interface Return {
  all: number;
  cpu: number;
  /** How often a connection was tried again. */
  again: number;
  /** Each answer to who asked meanwhile, shortest first. */
  answers: number[];
}

export async function benchStorm(profileDir: string | null): Promise<void> {
  await onStage((stage) => play(stage, profileDir !== null), profileDir);
}

async function play(stage: Stage, oursAlone: boolean): Promise<void> {
  const { contestant: ours, first } = await ourContestant(stage);
  const all = oursAlone ? [ours] : [ours, await peer(stage)];
  const bars: Bar[] = [];
  for (const { subscribers, rounds } of stages) {
    for (const one of all) one.returns = [];
    for (let round = 1; round <= rounds; round += 1)
      for (const one of all) one.returns.push(await comeBack(one, subscribers, round === rounds));
    console.log(`\n## ${thousands(subscribers)} come back at once, ${rounds} times\n\n${table(all)}`);
    console.log(`\n${await memoryTable(all, subscribers)}`);
    bars.push(...barsOf(subscribers, all));
  }
  first.close();
  reportBars(bars);
}

/** @returns also the one who stays, so that the log of the base is there for those who come back */
async function ourContestant({ start }: Stage): Promise<{ contestant: Contestant; first: Subscriber }> {
  const child = await start('ours-with-log.ts');
  const { connection } = child;
  const first = await Subscriber.open('ours', child, { query: document, variables: { connection } });
  await until(() => first.position !== null, 'the first subscription began');
  const { payload } = JSON.parse(first.position!.toString()) as {
    payload: { data: { recordChanges: { cursor: string } } };
  };
  const after = payload.data.recordChanges.cursor;
  const contestant: Contestant = {
    label: 'ours',
    child,
    subscription: { query: comingBack, variables: { connection, after } },
    question: `{ connection(id: ${connection ?? 0}) { id state } }`,
    begun: (all) => Promise.resolve(all.filter(({ position }) => position !== null).length),
    returns: [],
    memory: null,
  };
  return { contestant, first };
}

/** It can't resume: its subscribers begin where it is, and it asks no database who they are. */
async function peer({ start }: Stage): Promise<Contestant> {
  const child = await start('yoga-ws.ts');
  return {
    label: 'Yoga 5, graphql-ws',
    child,
    subscription: { query: document, variables: { connection: 0 } },
    question: '{ __typename }',
    begun: async (_all, before) => (await child.ask<number>('subscribed')) - before,
    returns: [],
    memory: null,
  };
}

/** All come at once, and leave when the last has begun. @param looks at the memory, which takes a while */
async function comeBack(contestant: Contestant, count: number, looks: boolean): Promise<Return> {
  const { label, child, subscription, question } = contestant;
  const before = looks ? await child.ask<Memory>('memory') : null;
  const known = label === 'ours' ? 0 : await child.ask<number>('subscribed');
  const cpuBefore = await child.ask<number>('cpuMs');
  const stop = askMeanwhile(child, question);
  const startedAt = performance.now();
  let again = -count;
  const open = async (): Promise<Subscriber> => {
    for (let tries = 1; ; tries += 1) {
      again += 1;
      try {
        return await Subscriber.open(label, child, subscription);
      } catch (error) {
        if (tries === maxTries) throw error;
        await pause(againMs * (0.5 + Math.random()));
      }
    }
  };
  const subscribers = await Promise.all(Array.from({ length: count }, open));
  await until(
    async () => (await contestant.begun(subscribers, known)) >= count,
    `${count} subscriptions of ${label} began`,
  );
  const all = performance.now() - startedAt;
  const answers = await stop();
  const cpu = (await child.ask<number>('cpuMs')) - cpuBefore;
  if (before) contestant.memory = { before, after: await child.ask<Memory>('memory') };
  for (const subscriber of subscribers) subscriber.close();
  await pause(calmMs);
  return { all, cpu, again, answers };
}

/** Five thousand are more than one instance should have to take: beside them it has to be no worse than plain graphql-ws. */
function barsOf(count: number, all: Contestant[]): Bar[] {
  const [ours, plain] = all as [Contestant, Contestant?];
  const what = `${thousands(count)} come back, a query meanwhile, p99`;
  const reached = quantile(answersOf(ours), 0.99);
  if (count === 1_000) return [{ what, unit: 'ms', reached, atMost: 250 }];
  if (!plain) return [];
  const next = `${what}, next to ${plain.label}`;
  return [{ what: next, unit: '×', reached: reached / quantile(answersOf(plain), 0.99), atMost: 1 }];
}

function table(all: Contestant[]): string {
  const head = [
    'median',
    'all are live, ms',
    'slowest, ms',
    'CPU ms',
    'tried again',
    'queries',
    'p99 ms',
    ...all.map(({ label }) => `÷ ${label}`),
  ];
  const live = ({ returns }: Contestant): number => median(returns.map((one) => one.all));
  const rows = all.map((one) => [
    one.label,
    thousands(live(one)),
    thousands(Math.max(...one.returns.map((each) => each.all))),
    thousands(median(one.returns.map(({ cpu }) => cpu))),
    String(one.returns.reduce((sum, { again }) => sum + again, 0)),
    String(answersOf(one).length),
    quantile(answersOf(one), 0.99).toFixed(0),
    ...all.map((other) => (other === one ? '·' : (live(one) / live(other)).toFixed(2))),
  ]);
  return columns(head, rows);
}

async function memoryTable(all: Contestant[], count: number): Promise<string> {
  const mb = (bytes: number | null | undefined): string => (bytes == null ? '–' : (bytes / 1e6).toFixed(0));
  const rows = await Promise.all(
    all.map(async ({ label, child, memory }) => [
      label,
      mb(memory?.before.rss),
      mb(memory?.after.rss),
      mb(await child.highestRss()),
      memory ? ((memory.after.heap - memory.before.heap) / count / 1_000).toFixed(1) : '–',
    ]),
  );
  return columns(
    ['memory', 'before, MB', 'all live, MB', 'highest so far, MB', 'live objects, kB each'],
    rows,
  );
}

function answersOf({ returns }: Contestant): number[] {
  return returns.flatMap(({ answers }) => answers).sort((a, b) => a - b);
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Waited in vain until ${what}.`);
    await pause(lookMs);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
