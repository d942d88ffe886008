import type { Logger } from '../logger.ts';
import { Backlog } from './backlog.ts';
import { isPruned, type ChangeLog } from './change-log.ts';
import { bytesOfAll, type StoredEntry } from './entry-rows.ts';
import { firstAfter } from './first-after.ts';
import type { Feed } from './feed.ts';
import { maxEntriesPerRead, type LogPage } from './log-page.ts';
import { comparePositions, type Position } from './position.ts';

/** Newest entries that are kept in memory, so that those who listen live share one read of the log. */
const maxKeptEntries = 1_000;
/** Their JSON together. */
const maxKeptBytes = 16_000_000;

/**
 * Reads one feed for everybody in this process. Nothing is pushed: each subscriber asks for what lies after its own
 * position, and gets it from the newest entries in memory or, when it is further back or too slow, from the log. So
 * handing over from the past to the present can't leave a hole or repeat anything, and nobody's backlog takes memory.
 */
export class FeedReader {
  readonly feed: Feed;
  readonly #log: Pick<ChangeLog, 'read' | 'readNew'>;
  readonly #backlog: Backlog;
  readonly #logger: Logger;
  /** What lies in memory: all entries after `#keptAfter` up to `#head`. */
  #kept: StoredEntry[] = [];
  #keptBytes = 0;
  #keptAfter: Position;
  #head: Position;
  /** Behind here no change of the schema has been read. */
  #schemaSince: Position;
  #reading: Promise<void> | null = null;
  /** The one that follows it. */
  #nextReading: Promise<void> | null = null;
  readonly #waiting = new Set<() => void>();

  constructor(
    feed: Feed,
    head: Position,
    deps: { log: Pick<ChangeLog, 'read' | 'readNew'>; logger: Logger },
  ) {
    this.feed = feed;
    this.#head = head;
    this.#keptAfter = head;
    this.#schemaSince = head;
    this.#log = deps.log;
    this.#backlog = new Backlog((after) => deps.log.read(feed.id, after));
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

  /** Whether `read` has what lies after a position in memory, so that it asks nothing of the database. */
  keeps(after: Position): boolean {
    return comparePositions(after, this.#keptAfter) >= 0;
  }

  /** At most one page of what lies after a position, oldest first; empty at the head. */
  async read(after: Position): Promise<LogPage<StoredEntry>> {
    if (!this.keeps(after)) {
      const page = await this.#backlog.read(after);
      this.#keepOlder(after, page);
      const last = page.entries.at(-1);
      // It may be a part of one that was read for somebody else before the log grew to the head.
      const hasMore = page.hasMore || (last !== undefined && comparePositions(last.position, this.#head) < 0);
      return { ...page, hasMore };
    }
    const start = firstAfter(this.#kept, after);
    // Retention may have overtaken what lies in memory; nobody who reads it here has lost anything.
    const end = start + maxEntriesPerRead;
    return {
      entries: this.#kept.slice(start, end),
      pruned: this.#keptAfter,
      prunedUntil: null,
      hasMore: end < this.#kept.length,
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

  /** Reads the log from the head on, unless somebody has read up to a position already. */
  async reach(position: Position): Promise<void> {
    await this.#reading;
    if (comparePositions(this.#head, position) < 0) await this.catchUp();
  }

  /** Reads the log from the head on, after the call. Calls in between are joined; a failure is left to the next call. */
  catchUp(): Promise<void> {
    // First, since between two readings there is a moment in which none is under way.
    if (this.#nextReading) return this.#nextReading;
    if (!this.#reading) return this.#begin();
    // Whoever calls meanwhile waits for one more and no longer, however many keep calling.
    this.#nextReading = this.#reading.then(() => {
      this.#nextReading = null;
      return this.#begin();
    });
    return this.#nextReading;
  }

  #begin(): Promise<void> {
    const reading = this.#readOn().finally(() => {
      if (this.#reading === reading) this.#reading = null;
    });
    this.#reading = reading;
    return reading;
  }

  async #readOn(): Promise<void> {
    try {
      let page = await this.#log.readNew(this.feed.id, this.#head);
      this.#add(page);
      while (page.hasMore) {
        page = await this.#log.read(this.feed.id, this.#head);
        this.#add(page);
      }
    } catch (error) {
      this.#logger.warn({ err: error, feedId: this.feed.id }, 'a feed could not be read');
    }
  }

  #add({ entries, pruned }: LogPage<StoredEntry>): void {
    if (isPruned(this.#head, pruned)) this.#forget(pruned);
    const last = entries.at(-1);
    if (!last) return;
    this.#kept.push(...entries);
    this.#keptBytes += bytesOfAll(entries);
    this.#head = last.position;
    this.#schemaSince = entries.findLast(({ kind }) => kind === 'schema')?.position ?? this.#schemaSince;
    this.#dropSurplus();
    for (const wake of [...this.#waiting]) wake();
  }

  /** The oldest first. */
  #dropSurplus(): void {
    let dropped = 0;
    for (const { bytes, position } of this.#kept) {
      const isBounded = this.#kept.length - dropped <= maxKeptEntries;
      if (isBounded && this.#keptBytes <= maxKeptBytes) break;
      dropped += 1;
      this.#keptBytes -= bytes;
      this.#keptAfter = position;
    }
    if (dropped > 0) this.#kept.splice(0, dropped);
  }

  /**
   * Those who come back are not far from each other: what one of them has read, up to what lies in memory, others find there.
   * Only the entries themselves can tell that a page leaves no hole before it: it may be a part of one that was read for
   * somebody else, and long ago.
   */
  #keepOlder(after: Position, { entries, pruned }: LogPage<StoredEntry>): void {
    const from = isPruned(after, pruned) ? pruned : after;
    const last = entries.at(-1);
    if (!last || this.keeps(from) || !this.keeps(last.position)) return;
    const older = entries.slice(0, firstAfter(entries, this.#keptAfter));
    const bytes = this.#keptBytes + bytesOfAll(older);
    if (older.length + this.#kept.length > maxKeptEntries || bytes > maxKeptBytes) return;
    this.#kept.unshift(...older);
    this.#keptBytes = bytes;
    this.#keptAfter = from;
  }

  /** The log lost entries that had not been read: whoever stands before them has to learn it from the log. */
  #forget(pruned: Position): void {
    this.#kept = [];
    this.#keptBytes = 0;
    this.#keptAfter = pruned;
    this.#head = pruned;
    this.#schemaSince = pruned;
  }
}
