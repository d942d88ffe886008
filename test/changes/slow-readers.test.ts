import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { WebSocket } from 'ws';
import { startTestApp, type TestApp } from '../support/app.ts';
import { isLongRun, repeats, timeLimitMs } from '../support/repeats.ts';
import { Subscriber, until, type Event } from './subscriber.ts';
import { crm, edit, ledger, ledgerEnd, told } from './upstream-edits.ts';

/** Memory that slow clients may take together, here with their share of this process, in bytes. */
const maxTakenBytes = 64_000_000;
/** How much later others may be told than when nobody was slow. Wide where other tests have the processor, too. */
const maxSlowdown = isLongRun ? 2 : 10;

/** Who does not answer the server's sign of life within this is closed, however little waits for it. */
const keepAliveMs = 12_000;

/** Time that has passed beyond what did, in milliseconds. */
let aheadMs = 0;
let app: TestApp;
let connection: number;

beforeAll(async () => {
  app = await startTestApp({ clock: { now: () => Date.now() + aheadMs } });
  connection = await app.connect();
});
afterAll(() => app.close());

/** A long message is ten times as long, and what systems keep for a socket that is not read is less than all of them. */
const cellCharacters = repeats({ suite: 60_000, long: 30_000 });
/** Ten times what the change has, or only that there is one. */
const text = (
  length: 'long' | 'short',
): string => `subscription ($connection: Int!, $baseId: String!, $after: Cursor) {
  recordChanges(connection: $connection, baseId: $baseId, after: $after) {
    __typename ... on FeedPosition { cursor }
    ... on RecordChange { cursor kind recordId ${length === 'short' ? '' : Array.from({ length: 10 }, (_, index) => `f${index}: fields { current }`).join(' ')} }
  }
}`;

const variables = (more: object = {}) => ({ connection, baseId: crm.baseId, ...more });

/** A socket whose reading can be stopped. */
class Reader {
  readonly events: Event[] = [];
  readonly closed: Promise<number>;
  readonly socket: WebSocket;
  toldAt = 0;

  constructor(length: 'long' | 'short') {
    this.socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    this.closed = once(this.socket, 'close').then(([code]) => code as number);
    this.socket.on('open', () => {
      this.#send({ type: 'connection_init', payload: { authorization: `Bearer ${app.adminKey}` } });
    });
    this.socket.on('message', (data: Buffer) => {
      // What counts stands at its beginning.
      const message = data.toString('latin1', 0, 400);
      if (message.includes('"connection_ack"')) {
        this.#send({
          id: randomUUID(),
          type: 'subscribe',
          payload: { query: text(length), variables: variables() },
        });
        return;
      }
      const word = (name: string) => new RegExp(`"${name}":"([\\w-]+)"`).exec(message)?.[1];
      const [kind, recordId] = [word('kind'), word('recordId')];
      const __typename = kind ? 'RecordChange' : 'FeedPosition';
      this.events.push({
        __typename,
        cursor: word('cursor') ?? '',
        ...(kind && recordId && { kind, recordId }),
      });
      this.toldAt = performance.now();
    });
  }

  get changes(): Event[] {
    return this.events.filter(({ kind }) => kind);
  }

  #send(message: object): void {
    this.socket.send(JSON.stringify(message));
  }
}

async function metric(name: 'slow_subscribers_closed_total' | 'websockets_open'): Promise<number> {
  const line = new RegExp(`^omnera_calendly_${name} (\\d+)$`, 'm');
  return Number(line.exec(await app.app.metrics.text())?.[1]);
}

/** Makes long changes one by one. @returns how long each took to all of the readers, in milliseconds, shortest first */
async function passages(readers: Reader[], count: number): Promise<number[]> {
  const took: number[] = [];
  for (let change = 0; change < count; change += 1) {
    const had = readers.map(({ changes }) => changes.length);
    const begin = performance.now();
    await edit(app, { create: [{ fields: { Name: 'x'.repeat(cellCharacters) } }] });
    await until(() => readers.every(({ changes }, index) => changes.length > had[index]!), 60_000);
    took.push(Math.max(...readers.map(({ toldAt }) => toldAt)) - begin);
  }
  return took.sort((a, b) => a - b);
}

function taken(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

it(
  'keeps others going and memory low while some sockets take nothing, and lets those resume',
  async () => {
    const [all, slow] = [repeats({ suite: 10, long: 1_000 }), repeats({ suite: 3, long: 100 })];
    // As many who are told the same as the slow ones and read it; the others, for the machine's sake, are told less.
    const long = slow * 2;
    const changes = repeats({ suite: 12, long: 20 });
    const start = await ledgerEnd(app);
    const readers: Reader[] = [];
    while (readers.length < all) {
      const some = Array.from(
        { length: Math.min(20, all - readers.length) },
        (_, index) => new Reader(readers.length + index < long ? 'long' : 'short'),
      );
      await until(() => some.every(({ events }) => events.length > 0), 60_000);
      readers.push(...some);
    }
    const [stopped, others] = [readers.slice(0, slow), readers.slice(slow)];
    const before = await passages(readers, changes);
    for (const { socket } of stopped) socket.pause();
    const memory = taken();
    const stoppedAt = performance.now();
    const meanwhile = await passages(others, changes * 2);
    const more = taken() - memory;
    const p99 = (sorted: number[]) => sorted[Math.ceil(sorted.length * 0.99) - 1]!;
    if (isLongRun)
      process.stderr.write(
        `${JSON.stringify({ moreBytes: more, beforeMs: p99(before), meanwhileMs: p99(meanwhile), stoppedMs: performance.now() - stoppedAt })}\n`,
      );
    expect(more).toBeLessThan(maxTakenBytes);
    expect(p99(meanwhile)).toBeLessThan(p99(before) * maxSlowdown);

    aheadMs += 9_000;
    // On a machine that is too busy, those that are not full by then are closed for not answering a sign of life, and
    // nobody waits for them to take the code.
    const isQuick = !isLongRun || performance.now() - stoppedAt < keepAliveMs;
    if (isQuick) await until(async () => (await metric('slow_subscribers_closed_total')) === slow, 30_000);
    else await until(async () => (await metric('websockets_open')) === others.length, 90_000);
    for (const { socket } of stopped) socket.resume();
    const codes = new Set(await Promise.all(stopped.map(({ closed }) => closed)));
    if (isQuick) expect([...codes]).toEqual([1013]);
    else expect([1006, 1013]).toEqual(expect.arrayContaining([...codes]));
    expect(others.every(({ socket }) => socket.readyState === socket.OPEN)).toBe(true);
    for (const { socket } of others) socket.terminate();

    const expected = await ledger(app, start);
    for (const { changes: heard, events } of stopped) {
      const resumed = new Subscriber(app, variables({ after: events.at(-1)?.cursor }));
      await until(() => heard.length + resumed.changes.length >= expected.length, 30_000);
      expect([...told(heard), ...told(resumed.changes)]).toEqual(expected);
      await resumed.cut();
    }
  },
  timeLimitMs,
);
