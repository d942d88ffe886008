import type { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { outdatedBy, toldAs, type ChangeFilter } from './change-filter.ts';
import { isPruned } from './change-log.ts';
import type { FeedReader } from './feed-reader.ts';
import type { ChangeEntry, LogEntry, Loss, SchemaEntry } from './log-entry.ts';
import { maxEntriesPerRead } from './log-page.ts';
import { comparePositions, type Position } from './position.ts';

/** What a subscription tells, each with the position from which to resume after it. */
export type FeedEvent =
  | { type: 'position'; position: Position; at: Date }
  | { type: 'change'; position: Position; entry: ChangeEntry; leftFilter: boolean }
  | { type: 'schema'; position: Position; entry: SchemaEntry }
  | { type: 'lost'; position: Position; loss: Loss };

/**
 * Events that are told together, and the position of whoever has been told them. There may be none. With `outdated`, the
 * filter means something else behind them, and nothing comes after.
 */
export interface FeedStep {
  events: FeedEvent[];
  position: Position;
  outdated?: AppError;
}

/** The last thing that a subscription tells that can't go on. */
export interface SubscriptionEnded {
  type: 'ended';
  error: AppError;
}

/**
 * A subscriber whose filter hides everything still learns a position to resume from: at least every 30 s and every
 * 1,000 changes. It is looked at between pages, hence the margins; and halved, since a subscriber comes from a stream of
 * its own into one that it shares, each of which counts by itself.
 */
const positionIntervalMs = 25_000;
const maxFilteredOut = (1_000 - maxEntriesPerRead) / 2;

/** Events that are told together, so that what has to be fetched for them is fetched with one call. */
const maxEventsPerBatch = 100;

/** Pause after a read of the log that failed, or found nothing where there must be something. */
const retryMs = 500;

/**
 * Everything in a feed after a position, without end: first what is in the log, then what comes. What was pruned is told
 * as a loss, after which it goes on from the oldest entry that is left. Events that are there already come in batches; a
 * step without events says how far it has come. Ends when the signal is given, also in the middle of a wait, and behind
 * the change of the schema that makes its filter mean something else.
 */
export async function* streamRecordChanges(
  reader: FeedReader,
  options: { after: Position; filter: ChangeFilter; signal: AbortSignal; logger: Logger },
): AsyncGenerator<FeedStep, void, undefined> {
  const { filter, signal } = options;
  let position = options.after;
  let toldAt = Date.now();
  let filteredOut = 0;

  while (!signal.aborted) {
    const { head } = reader;
    const page = await reader.read(position).catch((error: unknown) => {
      options.logger.warn(
        { err: error, feedId: reader.feed.id },
        'the change log could not be read; trying again',
      );
      return null;
    });
    if (!page) {
      await pause(retryMs, signal);
      continue;
    }
    if (isPruned(position, page.pruned)) {
      position = page.pruned;
      const until = (page.prunedUntil ?? new Date()).toISOString();
      const loss: Loss = { reason: 'cursor_pruned', since: null, until };
      yield { events: [{ type: 'lost', position, loss }], position };
    }
    let batch: FeedEvent[] = [];
    for (const entry of page.entries) {
      position = entry.position;
      const told = toldAs(entry, filter);
      if (told === null) {
        filteredOut += 1;
        continue;
      }
      filteredOut = 0;
      batch.push(eventOf(entry, told === 'left'));
      const outdated = outdatedBy(entry, filter);
      if (outdated) return yield { events: batch, position, outdated };
      if (batch.length < maxEventsPerBatch) continue;
      yield { events: batch, position };
      if (signal.aborted) return;
      batch = [];
    }
    const now = Date.now();
    if (filteredOut >= maxFilteredOut || now - toldAt >= positionIntervalMs) {
      toldAt = now;
      filteredOut = 0;
      batch.push({ type: 'position', position, at: new Date(now) });
    }
    yield { events: batch, position };
    if (page.entries.length > 0) continue;
    // Nothing although there was more: a log whose newest entries a crash of PostgreSQL has undone. They come again.
    if (comparePositions(position, head) < 0) await pause(retryMs, signal);
    else await reader.grown(position, Math.max(0, toldAt + positionIntervalMs - Date.now()), signal);
  }
}

function eventOf(entry: LogEntry, leftFilter: boolean): FeedEvent {
  const { position } = entry;
  if (entry.kind === 'lost') return { type: 'lost', position, loss: entry.loss };
  if (entry.kind === 'schema') return { type: 'schema', position, entry };
  return { type: 'change', position, entry, leftFilter };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
