import { isOutage } from '../calendly/judge.ts';
import { priorities, type Operation } from '../calendly/operation.ts';
import { withinOperation } from '../calendly/within-operation.ts';
import type { Clock } from '../clock.ts';
import { AppError, type ErrorCode } from '../errors.ts';

/** Failures of the one who reads, which say nothing about the others who wait for the same answer. */
const ownFailures: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'DEADLINE_EXCEEDED',
  'UPSTREAM_CALLS_EXCEEDED',
  'UPSTREAM_RATE_LIMITED',
]);

/**
 * Who may wait at least so much longer than the reader, in milliseconds, asks an upstream again that was away for as long as
 * the reader could wait. Those who came together have deadlines some milliseconds apart, and share the failure.
 */
const longerMs = 1_000;

interface Read<T> {
  /** Counts the reads: those of a higher number began later. */
  number: number;
  answer: Promise<T>;
  /** Who sends the call. */
  operation: Operation;
  /** When the answer arrived, in milliseconds since the epoch; null while it is on its way. */
  doneAt: number | null;
  hasFailed: boolean;
}

/**
 * Answers of the upstream that several operations may use: one read at a time per key, however many ask, and the answer
 * kept for `maxAgeMs`. A read is made in the name of the first who asks; the others wait no longer than their own deadline.
 * When the first gives up (deadline, cap, client gone, an upstream that was away for as long as this one could wait), one
 * of the others, who may wait for a second more at least, reads again; a failure that concerns all is told to all and not
 * kept.
 */
export class SharedReads<T> {
  readonly #clock: Clock;
  readonly #maxAgeMs: number;
  readonly #maxEntries: number;
  /** In the order of use; the first is the one to drop. */
  readonly #reads = new Map<string, Read<T>>();
  #begun = 0;

  /** @param options.maxAgeMs 0 shares only reads that are on their way. */
  constructor(options: { clock: Clock; maxAgeMs: number; maxEntries: number }) {
    this.#clock = options.clock;
    this.#maxAgeMs = options.maxAgeMs;
    this.#maxEntries = options.maxEntries;
  }

  /** Answers that came without a call of their own count as `fromCache` of the operation. */
  async read(key: string, operation: Operation, send: () => Promise<T>): Promise<T> {
    for (;;) {
      const known = this.#usable(key, operation);
      if (!known) return this.#send(key, operation, send);
      if (known.doneAt !== null) {
        operation.meter.fromCache += 1;
        return known.answer;
      }
      try {
        const answer = await withinOperation(known.answer, operation, this.#clock);
        operation.meter.fromCache += 1;
        return answer;
      } catch (error) {
        // Unless the read itself has failed, it is this one's own time that is over.
        if (!known.hasFailed || !isOwnFailure(error, known.operation, operation)) throw error;
      }
    }
  }

  /**
   * An answer that was asked for after this call. What is on its way is waited for, and all who wait share the next read:
   * however many ask, one call follows the other.
   */
  async readAfresh(key: string, operation: Operation, send: () => Promise<T>): Promise<T> {
    const begunBefore = this.#begun;
    for (;;) {
      const known = this.#reads.get(key);
      if (!known || known.number > begunBefore) return this.read(key, operation, send);
      if (known.doneAt === null)
        await withinOperation(
          known.answer.catch(() => undefined),
          operation,
          this.#clock,
        );
      this.#drop(key, known);
    }
  }

  /** What is on its way is no longer joined or kept either: it may have been read before the change. */
  forget(concerned: (key: string) => boolean): void {
    for (const key of this.#reads.keys()) if (concerned(key)) this.#reads.delete(key);
  }

  #usable(key: string, operation: Operation): Read<T> | null {
    const read = this.#reads.get(key);
    if (!read) return null;
    if (read.doneAt !== null) {
      if (this.#clock.now() - read.doneAt > this.#maxAgeMs) return null;
      this.#reads.delete(key);
      this.#reads.set(key, read);
      return read;
    }
    // Nobody waits in a line behind his own.
    const place = ({ priority }: Operation): number => priorities.indexOf(priority);
    return place(read.operation) <= place(operation) ? read : null;
  }

  async #send(key: string, operation: Operation, send: () => Promise<T>): Promise<T> {
    const number = (this.#begun += 1);
    const read: Read<T> = { number, answer: send(), operation, doneAt: null, hasFailed: false };
    this.#reads.delete(key);
    this.#reads.set(key, read);
    this.#dropOldest();
    try {
      const answer = await read.answer;
      read.doneAt = this.#clock.now();
      if (this.#maxAgeMs === 0) this.#drop(key, read);
      return answer;
    } catch (error) {
      read.hasFailed = true;
      this.#drop(key, read);
      throw error;
    }
  }

  #drop(key: string, read: Read<T>): void {
    if (this.#reads.get(key) === read) this.#reads.delete(key);
  }

  #dropOldest(): void {
    for (const key of this.#reads.keys()) {
      if (this.#reads.size <= this.#maxEntries) return;
      this.#reads.delete(key);
    }
  }
}

function isOwnFailure(error: unknown, reader: Operation, other: Operation): boolean {
  if (reader.signal?.aborted) return true;
  if (!(error instanceof AppError)) return false;
  return ownFailures.has(error.code) || (reader.deadline + longerMs <= other.deadline && mightPass(error));
}

/** Whether more time could have helped. Most outages are waited for; a refusal with a status of its own is final. */
function mightPass({ code, details: { upstreamStatus } }: AppError): boolean {
  return code === 'UPSTREAM_UNAVAILABLE' && (typeof upstreamStatus !== 'number' || isOutage(upstreamStatus));
}
