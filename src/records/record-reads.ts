import { SharedReads } from '../bases/shared-reads.ts';
import type { WireRecord } from '../calendly/wire.ts';
import type { Clock } from '../clock.ts';
import type { WirePage } from './record-listing.ts';

/** An answer, and the moment before it was asked for: what it says holds from then on at the latest. */
export interface Timed<T> {
  answer: T;
  /** Milliseconds since the epoch. */
  askedAt: number;
}

/** @param now milliseconds since the epoch */
export async function timed<T>(now: number, read: Promise<T>): Promise<Timed<T>> {
  return { answer: await read, askedAt: now };
}

/** Reads on their way in one process that others may join; each lasts for seconds at most. */
const maxReads = 5_000;

/**
 * Lets operations that ask for the same at the same time share one answer. Nothing is kept once it has arrived. Keys begin
 * with `<connection>/<base>/`.
 */
export class RecordReads {
  readonly lookups: SharedReads<Timed<WireRecord[]>>;
  readonly pages: SharedReads<Timed<WirePage>>;

  constructor({ clock }: { clock: Clock }) {
    this.lookups = new SharedReads({ clock, maxAgeMs: 0, maxEntries: maxReads });
    this.pages = new SharedReads({ clock, maxAgeMs: 0, maxEntries: maxReads });
  }

  /** To be called before and after a write: what is on its way may have been read before it, so nobody joins it now. */
  forget(baseId: string): void {
    const concerned = (key: string) => key.split('/', 2)[1] === baseId;
    this.lookups.forget(concerned);
    this.pages.forget(concerned);
  }
}
