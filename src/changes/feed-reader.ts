import type { Logger } from '../logger.ts';
import { isPruned, maxEntriesPerRead, type ChangeLog, type LogPage } from './change-log.ts';
import type { Feed } from './feed.ts';
import type { LogEntry } from './log-entry.ts';
import { comparePositions, type Position } from './position.ts';

/** Newest entries that are kept in memory, so that those who listen live share one read of the log. */
const maxKeptEntries = 1_000;

/**
 * Reads one feed for everybody in this process. Nothing is pushed: each subscriber asks for what lies after its own
 * position, and gets it from the newest entries in memory or, when it is further back or too slow, from the log. So
 * handing over from the past to the present can't leave a hole or repeat anything, and nobody's backlog takes memory.
 */
export class FeedReader {
  readonly feed: Feed;
  readonly #log: ChangeLog;
  readonly #logger: Logger;
  /** What lies in memory: all entries after `#keptAfter` up to `#head`. */
  #kept: LogEntry[] = [];
  #keptAfter: Position;
  #head: Position;
  /** Behind here no change of the schema has been read. */
  #schemaSince: Position;
  #reading: Promise<void> | null = null;
  #readAgain = false;
  readonly #waiting = new Set<() => void>();

  constructor(feed: Feed, head: Position, deps: { log: ChangeLog; logger: Logger }) {
    this.feed = feed;
    this.#head = head;
    this.#keptAfter = head;
    this.#schemaSince = head;
    this.#log = deps.log;
    this.#logger = deps.logger;
  }

  /** The newest entry that has been read. */
  get head(): Position {
    return this.#head;
  }

  /**
   * One position for all from which on there is no change of the schema up to the head; any other position is its own,
   * also one from before this reader began.
   */
  oldestLikeNow(position: Position): Position {
    const isLikeNow =
      comparePositions(position, this.#schemaSince) >= 0 && comparePositions(position, this.#head) <= 0;
    return isLikeNow ? this.#schemaSince : position;
  }

  /** At most one page of what lies after a position, oldest first; empty at the head. */
  async read(after: Position): Promise<LogPage> {
    if (comparePositions(after, this.#keptAfter) < 0)
      return this.#log.read(this.feed.id, after, maxEntriesPerRead);
    const start = firstAfter(this.#kept, after);
    // Retention may have overtaken what lies in memory; nobody who reads it here has lost anything.
    return {
      entries: this.#kept.slice(start, start + maxEntriesPerRead),
      pruned: this.#keptAfter,
      prunedUntil: null,
    };
  }

  /** Waits until there is something after a position, the time is over or the signal is given. Never fails. */
  async grown(after: Position, timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (comparePositions(this.#head, after) > 0 || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener('abort', done);
      this.#waiting.add(done);
    });
  }

  /** Reads the log from the head on. Calls in between are joined; a failure is left to the next call. */
  catchUp(): Promise<void> {
    if (this.#reading) {
      this.#readAgain = true;
      return this.#reading;
    }
    this.#reading = this.#readOn();
    return this.#reading;
  }

  async #readOn(): Promise<void> {
    try {
      do {
        this.#readAgain = false;
        const page = await this.#log.read(this.feed.id, this.#head, maxEntriesPerRead);
        if (isPruned(this.#head, page.pruned)) this.#forget(page.pruned);
        this.#keep(page.entries);
        if (page.entries.length === maxEntriesPerRead) this.#readAgain = true;
        if (page.entries.length > 0) for (const wake of [...this.#waiting]) wake();
      } while (this.#readAgain);
    } catch (error) {
      this.#logger.warn({ err: error, feedId: this.feed.id }, 'a feed could not be read');
    } finally {
      // In one go with the last look at #readAgain, so that no call in between is lost.
      this.#reading = null;
    }
  }

  #keep(entries: LogEntry[]): void {
    const last = entries.at(-1);
    if (!last) return;
    this.#kept.push(...entries);
    this.#head = last.position;
    this.#schemaSince = entries.findLast(({ kind }) => kind === 'schema')?.position ?? this.#schemaSince;
    const surplus = this.#kept.length - maxKeptEntries;
    const [lastDropped] = surplus > 0 ? this.#kept.splice(0, surplus).slice(-1) : [];
    if (lastDropped) this.#keptAfter = lastDropped.position;
  }

  /** The log lost entries that had not been read: whoever stands before them has to learn it from the log. */
  #forget(pruned: Position): void {
    this.#kept = [];
    this.#keptAfter = pruned;
    this.#head = pruned;
    this.#schemaSince = pruned;
  }
}

/** Index of the first entry after a position, by halving. */
function firstAfter(entries: readonly LogEntry[], after: Position): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = entries[middle];
    if (entry && comparePositions(entry.position, after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
