import { AppError } from '../errors.ts';

/**
 * What the upstream has cost one operation so far. Every call made on behalf of the operation counts here, whichever
 * feature made it; the totals are reported with the answer.
 */
export class CallMeter {
  /** Calls sent or about to be sent, repeated attempts included. */
  calls = 0;
  /** Time spent waiting for the rate limit, summed over all calls. */
  waitedMs = 0;
  /** Attempts beyond the first of a call. */
  retries = 0;
  /** Answers taken from our own memory where a call would have been needed. */
  fromCache = 0;
  readonly #maxCalls: number;

  /** @param maxCalls the caller's own cap on `calls`; none by default. */
  constructor(maxCalls: number = Number.POSITIVE_INFINITY) {
    this.#maxCalls = maxCalls;
  }

  /**
   * Counts one call; asked before each, so that a capped operation never sends more than it may.
   * @throws AppError UPSTREAM_CALLS_EXCEEDED when the cap is reached; the call is then not counted.
   */
  countCall(): void {
    if (this.calls >= this.#maxCalls) {
      throw new AppError(
        'UPSTREAM_CALLS_EXCEEDED',
        `The operation would need more than the ${this.#maxCalls} upstream calls that it is allowed. Ask for less, or raise the cap.`,
        { details: { maxCalls: this.#maxCalls } },
      );
    }
    this.calls += 1;
  }
}

/**
 * Who goes first when the rate limit is short. People do; but drains, which feed the change log, keep at least one slot
 * in ten for themselves, and so does all other background work together (actions, `liveRecord`).
 */
export const priorities = ['person', 'drain', 'background'] as const;
export type Priority = (typeof priorities)[number];

/** On whose behalf, how urgently and until when the upstream is called. */
export interface Operation {
  /** Whom waiting calls are shared out between: a caller with many waits longer than a caller with few. */
  callerId: string;
  priority: Priority;
  /** Milliseconds since the epoch. No call waits, runs or is repeated beyond it. */
  deadline: number;
  /** Aborting ends every wait and every read; a write that has left is waited for. */
  signal?: AbortSignal;
  /** Why nothing may leave any more; asked before each attempt, and again in the very moment of sending. */
  refusal?: () => AppError | null;
  meter: CallMeter;
  /** How old the row of a living connection may be that it works with, in milliseconds; read for it alone by default. */
  connectionAgeMs?: number;
}
