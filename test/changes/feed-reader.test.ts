import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pino } from 'pino';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isPruned } from '../../src/changes/change-log.ts';
import type { StoredEntry } from '../../src/changes/entry-rows.ts';
import { FeedReader } from '../../src/changes/feed-reader.ts';
import type { Feed } from '../../src/changes/feed.ts';
import {
  maxBytesPerRead,
  maxEntriesPerRead,
  maxNewEntriesPerRead,
  type LogPage,
} from '../../src/changes/log-page.ts';
import { origin, type Position } from '../../src/changes/position.ts';
import { streamRecordChanges, type FeedStep } from '../../src/changes/record-changes.ts';
import { repeats } from '../support/repeats.ts';

const place = (payload: number): Position => ({ generation: 1, payload, ordinal: 0 });

/** Entry number n of a log has the payload number n, from 1. */
const entry = (payload: number): StoredEntry => ({
  kind: 'deleted',
  position: place(payload),
  occurredAt: new Date(0),
  source: 'client',
  actor: null,
  transaction: payload,
  tableId: 'tbl1',
  recordId: `rec${payload}`,
  recordCreatedAt: null,
  fields: [],
  cells: null,
  // Some are so long that a thousand of them are too much to keep, or to read.
  bytes: payload % 11 === 0 ? 1_500_000 : 500,
});

const feed: Feed = {
  id: 1,
  clientId: 'client',
  baseId: 'appABC123',
  key: 'key',
  generation: 1,
  pruned: origin,
  prunedUntil: null,
  usedAt: new Date(0),
};

/** A log whose reads take as many turns of the event loop as it is told to, before and after they see what is there. */
class SlowLog {
  readonly entries: StoredEntry[];
  prunedUpTo = 0;
  reads = 0;
  isDone = false;
  readonly #turns: readonly number[];

  constructor(length: number, turns: readonly number[]) {
    this.entries = Array.from({ length }, (_, index) => entry(index + 1));
    this.#turns = turns;
  }

  grow(by: number): void {
    for (let index = 0; index < by; index += 1) this.entries.push(entry(this.entries.length + 1));
  }

  read(_feedId: number, after: Position): Promise<LogPage<StoredEntry>> {
    return this.#read(after, maxEntriesPerRead, maxBytesPerRead);
  }

  readNew(_feedId: number, after: Position): Promise<LogPage<StoredEntry>> {
    return this.#read(after, maxNewEntriesPerRead, Infinity);
  }

  async #read(after: Position, limit: number, maxBytes: number): Promise<LogPage<StoredEntry>> {
    this.reads += 1;
    await turns(this.#turns[(this.reads * 2) % this.#turns.length]);
    const start = Math.max(after.payload, this.prunedUpTo);
    let bytes = 0;
    const entries: StoredEntry[] = [];
    for (const one of this.entries.slice(start, start + limit)) {
      if (bytes >= maxBytes) break;
      bytes += one.bytes;
      entries.push(one);
    }
    const pruned = place(this.prunedUpTo);
    await turns(this.#turns[(this.reads * 2 + 1) % this.#turns.length]);
    return { entries, pruned, prunedUntil: null, hasMore: entries.length === limit || bytes >= maxBytes };
  }
}

async function turns(count = 0): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await nextTurn();
}

/** What one reader makes of a log: `problem` is the first thing that should not have been, and null when all is well. */
async function readToEnd(
  reader: FeedReader,
  log: SlowLog,
  from: number,
  waits: number,
): Promise<string | null> {
  await turns(waits);
  let after = from;
  while (!log.isDone || after < log.entries.length) {
    const { head } = reader;
    const page = await reader.read(place(after));
    if (isPruned(place(after), page.pruned)) {
      const { payload } = page.pruned;
      if (payload > log.prunedUpTo) return `told that ${after} to ${payload} are lost, which are there`;
      after = payload;
    }
    for (const { position } of page.entries) {
      if (position.payload !== after + 1) return `${position.payload} after ${after}`;
      after = position.payload;
    }
    // What the reader has come to is there for everybody.
    if (!page.hasMore && after < head.payload) return `no more after ${after} of ${head.payload}`;
    if (page.entries.length === 0) await nextTurn();
  }
  return null;
}

const readers = fc.array(fc.record({ from: fc.nat(2_000), waits: fc.nat(30) }), {
  minLength: 1,
  maxLength: 8,
});
const growths = fc.array(fc.record({ by: fc.nat(700), after: fc.nat(12), pruned: fc.nat(1_000) }), {
  maxLength: 3,
});

test('gives every entry once and in order, wherever readers stand, whenever they come and however long reads take', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 2_000 }),
      fc.array(fc.nat(20), { minLength: 1, maxLength: 12 }),
      readers,
      growths,
      async (length, slowness, all, growing) => {
        const log = new SlowLog(length, slowness);
        const reader = new FeedReader(feed, place(length), { log, logger: pino({ level: 'silent' }) });
        const ends = all.map(({ from, waits }) => readToEnd(reader, log, Math.min(from, length), waits));
        for (const { by, after, pruned } of growing) {
          await turns(after);
          log.grow(by);
          log.prunedUpTo = Math.max(log.prunedUpTo, Math.min(pruned, log.entries.length));
          await reader.catchUp();
        }
        log.isDone = true;
        expect(await Promise.all(ends)).toEqual(all.map(() => null));
      },
    ),
    { numRuns: repeats({ suite: 30, long: 1_000 }) },
  );
});

test('says that there is more when it gives a part of a page that was read before the log grew', async () => {
  // Two slow reads, within one of which the third reader stands, and the quick one of what is new.
  const log = new SlowLog(10, [0, 0, 0, 20, 0, 20, 0, 0]);
  const reader = new FeedReader(feed, place(10), { log, logger: pino({ level: 'silent' }) });
  const first = [reader.read(place(0)), reader.read(place(1))];
  await turns(3);
  log.grow(5);
  await reader.catchUp();
  expect(await reader.read(place(5))).toMatchObject({ entries: log.entries.slice(5, 10), hasMore: true });
  await Promise.all(first);
});

test('asks a log that has lost its newest entries now and then until they are back, rather than without a pause', async () => {
  const log = new SlowLog(10, [0]);
  const logger = pino({ level: 'silent' });
  const reader = new FeedReader(feed, place(10), { log, logger });
  log.entries.splice(5);
  const stopping = new AbortController();
  const steps: FeedStep[] = [];
  const reading = (async () => {
    const options = { after: place(3), filter: {}, signal: stopping.signal, logger };
    for await (const step of streamRecordChanges(reader, options)) steps.push(step);
  })();
  await turns(100);
  stopping.abort();
  await reading;
  expect(steps.map(({ position }) => position)).toEqual([place(5), place(5)]);
  expect(log.reads).toBe(2);
});

test('keeps the newest entries in memory, no more of them than are of a certain length together', async () => {
  const log = new SlowLog(0, [0]);
  const reader = new FeedReader(feed, place(0), { log, logger: pino({ level: 'silent' }) });
  log.grow(110);
  await reader.catchUp();
  // Ten long ones are as much as is kept.
  expect(reader.keeps(place(0))).toBe(true);
  log.grow(11);
  await reader.catchUp();
  expect([reader.keeps(place(10)), reader.keeps(place(11))]).toEqual([false, true]);
});
