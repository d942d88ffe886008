import { reportBars, type Bar } from './bars.ts';
import type { Child } from './child.ts';
import { changeIn, document, tellSame } from './fanout-event.ts';
import { moment } from './moment.ts';
import { columns, quantile, thousands } from './report.ts';
import { editContacts } from './sandbox-edits.ts';
import type { Memory } from './servers/memory.ts';
import { onStage, type Stage } from './stage.ts';
import { Subscriber, type Told } from './subscriber.ts';

export const fanout = 'fanout';
export const explainFanout = 'one change to 1, 100, 1,000 and 5,000 WebSocket subscribers, over a minute';

/**
 * How many listen, how often a change is made, and how often before it counts. Where a bar is about the p99, so often that
 * it is not merely the slowest.
 */
const stages = [
  { subscribers: 1, rounds: 200, warmUps: 50 },
  { subscribers: 100, rounds: 300, warmUps: 30 },
  { subscribers: 1_000, rounds: 50, warmUps: 10 },
  { subscribers: 5_000, rounds: 20, warmUps: 4 },
];
/** Memory is what the subscribers between these two take. */
const [fewer, most] = [1_000, 5_000];

/** Connections that are opened at a time. */
const openAtOnce = 50;
const patienceMs = 20_000;
const idleMs = 500;

/** One change on its way, in milliseconds. */
interface Passage {
  /** From its presence in the server's process, or for ours in the log, to the last subscriber. */
  delivery: number;
  /** Processor time of the server, from the edit or the publication on. */
  cpu: number;
  /** Ours alone: from when its notification left the upstream. */
  fromPing: number;
  /** Ours alone: from when its payload had been fetched. */
  beyondFetch: number;
  /** Ours alone: until its notification was answered. */
  answered: number;
}

interface Contestant {
  label: string;
  child: Child;
  subscribers: Subscriber[];
  memory: Map<number, Memory>;
  passages: Passage[];
  /** Makes the change, waits until all have it, and says how long that took. */
  round(last: () => Promise<Told>): Promise<Passage>;
}

export async function benchFanout(profileDir: string | null): Promise<void> {
  await onStage((stage) => play(stage, profileDir !== null), profileDir);
}

async function play(stage: Stage, oursAlone: boolean): Promise<void> {
  const model = { message: Buffer.alloc(0) };
  const ours = await ourContestant(stage, model);
  const all = [ours];
  if (!oursAlone) {
    all.push(await peer(stage, 'Yoga 5, graphql-ws', 'yoga-ws.ts', model));
    all.push(await peer(stage, 'raw ws, one frame', 'raw-ws.ts', model));
  }
  const bars: Bar[] = [];
  for (const { subscribers, rounds, warmUps } of stages) {
    for (const contestant of all) await grow(contestant, subscribers);
    await pause(idleMs);
    for (const { child, memory } of all) memory.set(subscribers, await child.ask('memory'));
    for (const contestant of all) contestant.passages = [];
    for (let round = -warmUps; round < rounds; round += 1) {
      for (const contestant of all) {
        const passage = await oneRound(contestant, model);
        if (round >= 0) contestant.passages.push(passage);
      }
    }
    console.log(`\n## ${subscribersOf(subscribers)}, ${rounds} changes\n\n${table(all)}\n`);
    console.log(tableOfOurs(ours));
    bars.push(...barsOf(subscribers, all));
  }
  console.log(`\n## Memory of an idle subscriber\n\n${memoryTable(all)}`);
  const { heap } = perSubscriber(ours);
  bars.push({ what: 'live objects of an idle subscriber, ours', unit: 'kB', reached: heap, atMost: 25 });
  for (const { subscribers } of all) for (const subscriber of subscribers) subscriber.close();
  reportBars(bars);
}

/** @param model keeps the newest message of ours, which the peers send as well */
async function ourContestant({ sandbox, start }: Stage, model: { message: Buffer }): Promise<Contestant> {
  const child = await start('ours-with-log.ts');
  const edit = editor(sandbox);
  await edit.begin();
  return {
    label: 'ours',
    child,
    subscribers: [],
    memory: new Map(),
    passages: [],
    async round(last) {
      await sandbox.ask('pings');
      await child.ask('moments');
      const name = await edit.rename();
      const { message, at } = await last();
      const change = changeIn(message);
      if (change.recordId !== edit.recordId || change.record.name !== name)
        throw new Error(`${name} was changed, and ${message.toString()} was told`);
      model.message = message;
      const { sent, answered } = await sandbox.ask<Record<'sent' | 'answered', number[]>>('pings');
      const { fetched, logged } = await child.ask<Record<'fetched' | 'logged', number[]>>('moments');
      const [pinged, there] = [sent[0], logged[0]];
      const payload = fetched.filter((one) => there !== undefined && one <= there).at(-1);
      if (pinged === undefined || there === undefined || payload === undefined)
        throw new Error('A change came without notification or fetch.');
      return {
        cpu: 0,
        delivery: at - there,
        fromPing: at - pinged,
        beyondFetch: at - payload,
        answered: (answered[0] ?? Number.NaN) - pinged,
      };
    },
  };
}

async function peer(
  { start }: Stage,
  label: string,
  file: string,
  model: { message: Buffer },
): Promise<Contestant> {
  const child = await start(file);
  return {
    label,
    child,
    subscribers: [],
    memory: new Map(),
    passages: [],
    async round(last) {
      const event = changeIn(model.message);
      const waiting = last();
      const publishedAt = await child.ask<number>('publish', { event, message: model.message.toString() });
      const { at } = await waiting;
      const none = Number.NaN;
      return { cpu: 0, delivery: at - publishedAt, fromPing: none, beyondFetch: none, answered: none };
    },
  };
}

/** One record of the base is renamed again and again, as a person would. */
function editor({ url }: Child) {
  let recordId = '';
  let renamed = 0;
  const change = (edit: object) => editContacts(url, edit);
  return {
    get recordId() {
      return recordId;
    },
    async begin() {
      const fields = { Name: 'Ada Lovelace', Email: 'ada@example.com', Status: 'Lead' };
      [recordId = ''] = (await change({ create: [{ fields }] })).created;
    },
    async rename() {
      const name = `Ada Lovelace ${(renamed += 1)}`;
      await change({ update: [{ id: recordId, fields: { Name: name } }] });
      return name;
    },
  };
}

/** Opens connections until there are `count`, some at a time, and waits until their subscriptions have begun. */
async function grow(contestant: Contestant, count: number): Promise<void> {
  const { label, child, subscribers } = contestant;
  const subscription = { query: document, variables: { connection: child.connection ?? 0 } };
  while (subscribers.length < count) {
    const length = Math.min(openAtOnce, count - subscribers.length);
    const opened = Array.from({ length }, () => Subscriber.open(label, child, subscription));
    subscribers.push(...(await Promise.all(opened)));
    const until = moment() + patienceMs;
    while (!(await haveBegun(contestant, length))) {
      if (moment() > until)
        throw new Error(`Not all of ${subscribers.length} subscriptions of ${label} began`);
      await pause(5);
    }
  }
}

/** Ours says so to each subscriber; the peers count. */
async function haveBegun({ label, child, subscribers }: Contestant, newest: number): Promise<boolean> {
  if (label === 'ours') return subscribers.slice(-newest).every(({ position }) => position !== null);
  return (await child.ask<number>('subscribed')) === subscribers.length;
}

/** One change to all. @throws Error unless each is told exactly it, once */
async function oneRound(
  { label, child, subscribers, round }: Contestant,
  model: { message: Buffer },
): Promise<Passage> {
  const early = subscribers.find(({ told }) => told.length > 0);
  if (early) throw new Error(`${label} told ${early.told[0]!.message.toString()} once more`);
  const before = await child.ask<number>('cpuMs');
  const passage = await round(() => lastTold(label, subscribers));
  passage.cpu = (await child.ask<number>('cpuMs')) - before;
  for (const { told } of subscribers) {
    if (told.length !== 1 || !tellSame(told[0]!.message, model.message))
      throw new Error(
        `${label} told a subscriber ${told.map(({ message }) => message.toString()).join(' and ')}`,
      );
  }
  for (const subscriber of subscribers) subscriber.told = [];
  return passage;
}

function lastTold(label: string, subscribers: Subscriber[]): Promise<Told> {
  return new Promise((resolve, reject) => {
    let missing = 0;
    const timer = setTimeout(
      () => reject(new Error(`${missing} of ${subscribers.length} subscribers of ${label} were not told`)),
      patienceMs,
    );
    const count = (told: Told): void => {
      missing -= 1;
      if (missing > 0) return;
      clearTimeout(timer);
      resolve(told);
    };
    // The notification may have been quicker than the answer to the edit.
    for (const subscriber of subscribers) {
      if (subscriber.told.length === 0) missing += 1;
      subscriber.onEvent = count;
    }
    if (missing > 0) return;
    clearTimeout(timer);
    const told = subscribers.map((subscriber) => subscriber.told[0]!);
    resolve(told.reduce((last, one) => (one.at > last.at ? one : last)));
  });
}

function table(all: Contestant[]): string {
  const head = ['delivery', 'p50 ms', 'p99 ms', 'CPU ms', ...all.map(({ label }) => `÷ ${label}`)];
  const rows = all.map((one) => [
    one.label,
    of(one, 'delivery', 0.5).toFixed(2),
    of(one, 'delivery', 0.99).toFixed(2),
    of(one, 'cpu', 0.5).toFixed(2),
    ...all.map((other) =>
      other === one ? '·' : (of(one, 'delivery', 0.5) / of(other, 'delivery', 0.5)).toFixed(2),
    ),
  ]);
  return columns(head, rows);
}

function tableOfOurs(ours: Contestant): string {
  const spans = [
    ['notification sent to answered', 'answered'],
    ['notification sent to last delivery', 'fromPing'],
    ['payload fetched to last delivery', 'beyondFetch'],
    ['in the log to last delivery', 'delivery'],
  ] as const;
  const rows = spans.map(([what, span]) => [
    what,
    of(ours, span, 0.5).toFixed(2),
    of(ours, span, 0.99).toFixed(2),
  ]);
  return columns(['ours', 'p50 ms', 'p99 ms'], rows);
}

function barsOf(count: number, all: Contestant[]): Bar[] {
  const [ours, plain] = all as [Contestant, Contestant?];
  const bar = (what: string, reached: number, atMost: number): Bar => ({
    what: `${subscribersOf(count)}, ${what}`,
    unit: 'ms',
    reached,
    atMost,
  });
  const bars = [bar('webhook answered, p99', of(ours, 'answered', 0.99), 20)];
  if (count === 100) bars.push(bar('last beyond the fetch, p99', of(ours, 'beyondFetch', 0.99), 15));
  if (count === 1_000 && plain) {
    const ratio = of(ours, 'delivery', 0.5) / of(plain, 'delivery', 0.5);
    bars.push({ ...bar(`delivery, p50, next to ${plain.label}`, ratio, 0.45), unit: '×' });
  }
  if (count === 5_000) bars.push(bar('delivery, p50', of(ours, 'delivery', 0.5), 100));
  return bars;
}

function subscribersOf(count: number): string {
  return count === 1 ? '1 subscriber' : `${thousands(count)} subscribers`;
}

function of({ passages }: Contestant, span: keyof Passage, at: number): number {
  return quantile(
    passages.map((passage) => passage[span]).sort((a, b) => a - b),
    at,
  );
}

/** In kB. */
function perSubscriber({ memory }: Contestant): Memory {
  const [before, after] = [memory.get(fewer)!, memory.get(most)!];
  const each = (bytes: keyof Memory): number => (after[bytes] - before[bytes]) / (most - fewer) / 1_000;
  return { rss: each('rss'), heap: each('heap') };
}

function memoryTable(all: Contestant[]): string {
  const rows = all.map((one) => [
    one.label,
    perSubscriber(one).rss.toFixed(1),
    perSubscriber(one).heap.toFixed(1),
  ]);
  return columns(['kB each', 'process', 'live objects'], rows);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
