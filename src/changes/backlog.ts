import type { StoredEntry } from './entry-rows.ts';
import { firstAfter } from './first-after.ts';
import type { LogPage } from './log-page.ts';
import { comparePositions, type Position } from './position.ts';

/** Reads of one feed's log at a time, in this process. */
const maxReads = 2;

interface Waiting {
  after: Position;
  resolve: (page: LogPage<StoredEntry>) => void;
  reject: (error: unknown) => void;
}

/**
 * Reads of a feed further back than what lies in memory. Those who come back after a deploy all stand there, not far from
 * each other: a page that was read for one serves whoever waits anywhere within it. Few are read at a time, for whoever
 * has waited longest, so that even subscribers who stand far apart leave the database to others.
 */
export class Backlog {
  readonly #read: (after: Position) => Promise<LogPage<StoredEntry>>;
  #waiting: Waiting[] = [];
  #reads = 0;

  constructor(read: (after: Position) => Promise<LogPage<StoredEntry>>) {
    this.#read = read;
  }

  /** At most one page of what lies after a position, oldest first. */
  read(after: Position): Promise<LogPage<StoredEntry>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ after, resolve, reject });
      // Those who come back together ask in the same turn.
      if (this.#waiting.length === 1) setImmediate(() => this.#readNext());
    });
  }

  #readNext(): void {
    while (this.#reads < maxReads) {
      const first = this.#waiting.shift();
      if (!first) return;
      this.#reads += 1;
      void this.#readFor(first);
    }
  }

  async #readFor(first: Waiting): Promise<void> {
    try {
      const page = await this.#read(first.after);
      first.resolve(page);
      this.#serve(first.after, page);
    } catch (error) {
      first.reject(error);
    }
    this.#reads -= 1;
    this.#readNext();
  }

  /** Who stands within the page has all that follows in it; who stands at its very end may have to read on. */
  #serve(after: Position, { entries, ...bound }: LogPage<StoredEntry>): void {
    const last = entries.at(-1);
    if (!last) return;
    const isWithin = ({ after: place }: Waiting): boolean =>
      comparePositions(place, after) >= 0 && comparePositions(place, last.position) < 0;
    const served = this.#waiting.filter(isWithin);
    this.#waiting = this.#waiting.filter((one) => !isWithin(one));
    for (const one of served)
      one.resolve({ ...bound, entries: entries.slice(firstAfter(entries, one.after)) });
  }
}
