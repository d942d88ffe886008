import { performance } from 'node:perf_hooks';

/**
 * A permission that is older than this is not used any more: a process that was stopped, or a connection that took long to
 * open, would send into a window that others have filled since. It is far less than a window, so that a sending which is
 * entered anew is on the log before its old entry has lapsed.
 */
export const maxPermissionAgeMs = 250;
/**
 * Used later than this after it was asked for, it is entered anew with the time of its use: the budget's window is only
 * this little wider than the upstream's second. The correction lands long before the window has passed.
 */
const lateAfterMs = 10;

/** A moment by two clocks: one that nobody sets, and one that goes on while the machine sleeps or is moved. */
export interface Moment {
  monotonicMs: number;
  wallMs: number;
}

export function thisMoment(): Moment {
  return { monotonicMs: performance.now(), wallMs: Date.now() };
}

function msSince(moment: Moment): number {
  const now = thisMoment();
  return Math.max(now.monotonicMs - moment.monotonicMs, now.wallMs - moment.wallMs);
}

/** The right to send one call now. It ends by being used or given back, whichever comes first. */
export class Permission {
  readonly waitedMs: number;
  readonly #askedAt: Moment;
  readonly #mayPass: () => boolean;
  readonly #giveBack: () => void;
  readonly #restamp: () => void;
  #over = false;
  #used = false;

  constructor(grant: {
    /** Before the budget was asked, so that the age is never taken too low. */
    askedAt: Moment;
    waitedMs: number;
    /** Whether nothing came up since that forbids the sending, such as a 429. */
    mayPass: () => boolean;
    giveBack: () => void;
    restamp: () => void;
  }) {
    this.waitedMs = grant.waitedMs;
    this.#askedAt = grant.askedAt;
    this.#mayPass = grant.mayPass;
    this.#giveBack = grant.giveBack;
    this.#restamp = grant.restamp;
  }

  get wasUsed(): boolean {
    return this.#used;
  }

  /** Asked in the very moment of sending. False: don't send, take a new one. */
  use(): boolean {
    if (this.#over) return false;
    const ageMs = msSince(this.#askedAt);
    if (ageMs > maxPermissionAgeMs || !this.#mayPass()) {
      this.giveBack();
      return false;
    }
    this.#over = true;
    this.#used = true;
    if (ageMs > lateAfterMs) this.#restamp();
    return true;
  }

  /** Does nothing after it was used. */
  giveBack(): void {
    if (this.#over) return;
    this.#over = true;
    this.#giveBack();
  }
}
