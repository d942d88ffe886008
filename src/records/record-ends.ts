import type { WireRecord } from '../calendly/wire.ts';
import type { RecordPosition } from './record-cursor.ts';

/** A page of the upstream that a listing has read. */
interface ReadPage {
  /** The upstream's offset of the page; null for the first one. */
  offset: string | null;
  /** The offset of the page behind it; null for the last one. */
  next: string | null;
  length: number;
  /** How many records it was asked for. */
  size: number;
}

/** Listed records that stand one behind the other in one page. */
interface Run {
  page: ReadPage;
  /** Where the first of them stands in the page, and where in the listing. */
  inPage: number;
  inListing: number;
}

/**
 * The place behind each record of a listing. It is worked out when somebody asks for it, and most ask for the last alone.
 */
export class RecordEnds {
  readonly #records: readonly WireRecord[];
  /** Records before the first of these. */
  readonly #count: number;
  readonly #runs: Run[] = [];

  constructor(records: readonly WireRecord[], { count }: { count: number }) {
    this.#records = records;
    this.#count = count;
  }

  /** Tells where the record stands that is about to be listed. */
  note(page: ReadPage, inPage: number): void {
    const inListing = this.#records.length;
    const run = this.#runs.at(-1);
    if (run?.page !== page || inPage - run.inPage !== inListing - run.inListing)
      this.#runs.push({ page, inPage, inListing });
  }

  /** The place behind a record, by its number in the listing; null when there is none. */
  behind(index: number): RecordPosition | null {
    const record = this.#records[index];
    const run = this.#runs.findLast(({ inListing }) => inListing <= index);
    if (!record || !run) return null;
    const { offset, next, length, size } = run.page;
    const inPage = run.inPage + index - run.inListing;
    const isLastOfPage = inPage === length - 1;
    const goesOn = isLastOfPage && next !== null;
    return {
      offset: goesOn ? next : offset,
      index: goesOn ? 0 : inPage + 1,
      lastId: record.id,
      count: this.#count + index + 1,
      pageSize: size,
      atEnd: isLastOfPage && next === null,
    };
  }

  behindLast(): RecordPosition | null {
    return this.behind(this.#records.length - 1);
  }
}
