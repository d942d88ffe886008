import { performance } from 'node:perf_hooks';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { abortReason, deadlineExceeded, shuttingDown } from './ended-early.ts';
import { priorities, type Operation, type Priority } from './operation.ts';
import { Permission, thisMoment, type Moment } from './permission.ts';
import type { ByPriority, Grant, Permits } from './permits.ts';
import { probeEveryMs, Probing } from './probing.ts';
import { WaitingLine, type Waiting } from './waiting-line.ts';

/** Calls that may wait for one base in one process, but for drains. */
export const maxWaiting = 1_000;
/** Of these, background work; the rest is kept for people. */
export const maxBackgroundWaiting = 500;
/** Calls of drains that may wait beside them, however long their line is. */
export const maxDrainsWaiting = 100;
/** The longest delay that a Node timer takes. */
export const maxTimerMs = 2_147_483_647;

interface Waiter extends Waiting {
  deadline: number;
  since: number;
  settle(outcome: Permission | Error): void;
}

/**
 * The way to one base (or, for calls without a base, of one connection) in this process.
 *
 * Open: whoever waits is let through as the shared budget grants. Resting: after a 429 nothing passes, here by our own
 * note of it and everywhere by the budget's. Probing: after failures in a row one call a second passes, until one is
 * answered. While anyone waits, one loop asks the budget for as many permissions as there are waiting calls; it sleeps
 * when the budget says how long. Without anyone waiting nothing runs.
 */
export class Lane {
  readonly #key: string;
  readonly #permits: Permits;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #line = new WaitingLine<Waiter>();
  #serving = false;
  #closed = false;
  #wake: (() => void) | null = null;
  readonly #probing = new Probing();
  #restsUntil = 0;

  constructor(key: string, permits: Permits, clock: Clock, logger: Logger) {
    this.#key = key;
    this.#permits = permits;
    this.#clock = clock;
    this.#logger = logger;
  }

  get isIdle(): boolean {
    return this.#line.size === 0 && !this.#serving && this.#probing.isCalm && this.#restMs <= 0;
  }

  get waiting(): number {
    return this.#line.size;
  }

  /** Waits for its turn and the budget. Ends early when the operation is aborted or can't be served in time. */
  enter(operation: Operation): Promise<Permission> {
    const { signal, deadline, callerId, priority } = operation;
    if (signal?.aborted) return Promise.reject(abortReason(signal));
    if (this.#closed) return Promise.reject(shuttingDown());
    const leftMs = deadline - this.#clock.now();
    if (leftMs <= 0) return Promise.reject(this.#probing.isOn ? this.#tooLong(0) : deadlineExceeded());
    if (this.#restMs >= leftMs) return Promise.reject(this.#tooLong(this.#restMs));
    if (this.#isFullFor(priority)) return Promise.reject(this.#tooLong(this.#estimateMs));

    return new Promise((resolve, reject) => {
      const leave = (error: Error): void => {
        if (this.#line.remove(waiter)) waiter.settle(error);
      };
      const onAbort = (): void => leave(abortReason(signal));
      const timer = setTimeout(() => leave(this.#tooLong(this.#estimateMs)), Math.min(leftMs, maxTimerMs));
      const waiter: Waiter = {
        callerId,
        priority,
        deadline,
        since: performance.now(),
        settle: (outcome) => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
          if (outcome instanceof Error) reject(outcome);
          else resolve(outcome);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#line.add(waiter);
      if (!this.#serving) void this.#serve();
      // The first of its kind: the budget has to know, wherever those wait who have to leave it room.
      else if (this.#line.count(priority) === 1) this.#wake?.();
    });
  }

  /** Stops everything here at once and, through the budget, everywhere. */
  async rest(ms: number): Promise<void> {
    this.#restsUntil = Math.max(this.#restsUntil, performance.now() + ms);
    await this.#permits.pause(this.#key, ms).catch((error: unknown) => {
      this.#logger.error(
        { err: error, budget: this.#key },
        'The pause after a 429 could not be shared with other instances',
      );
    });
  }

  answered(): void {
    if (!this.#probing.answered()) return;
    this.#logger.info({ budget: this.#key }, 'The upstream answers again');
    this.#wake?.();
  }

  failed(): void {
    if (this.#probing.failed())
      this.#logger.warn({ budget: this.#key }, 'The upstream does not answer; trying once a second');
  }

  close(): void {
    this.#closed = true;
    this.#turnAway(() => shuttingDown());
    this.#wake?.();
  }

  #isFullFor(priority: Priority): boolean {
    const waiting = this.#line.count(priority);
    if (priority === 'drain') return waiting >= maxDrainsWaiting;
    if (priority === 'background' && waiting >= maxBackgroundWaiting) return true;
    return this.#line.size - this.#line.count('drain') >= maxWaiting;
  }

  get #restMs(): number {
    return this.#restsUntil - performance.now();
  }

  /** How long a newcomer would wait behind those who wait already. */
  get #estimateMs(): number {
    const rounds = Math.ceil((this.#line.size + 1) / this.#permits.calls);
    return Math.max(this.#restMs, 0) + rounds * this.#permits.windowMs;
  }

  async #serve(): Promise<void> {
    this.#serving = true;
    while (this.#line.size > 0) {
      const waitMs = await this.#serveOnce();
      if (waitMs > 0 && this.#line.size > 0) await this.#sleep(waitMs);
    }
    this.#serving = false;
  }

  /** Lets through whom it may and answers the time until the next can go. */
  async #serveOnce(): Promise<number> {
    if (this.#restMs > 0) {
      this.#turnAwayBefore(this.#restMs);
      return this.#restMs;
    }
    if (this.#probing.restMs > 0) return this.#probing.restMs;

    const askedAt = thisMoment();
    let grant: Grant;
    try {
      grant = await this.#permits.take(this.#key, this.#wanted());
    } catch (error) {
      this.#turnAway(
        () =>
          new AppError(
            'DATABASE_UNAVAILABLE',
            'The database that keeps the rate limit cannot be reached. Try again shortly.',
            { cause: error },
          ),
      );
      return 0;
    }
    if (priorities.some((priority) => grant.granted[priority] > 0)) this.#probing.sent();
    for (const priority of priorities)
      for (let given = 0; given < grant.granted[priority]; given += 1)
        this.#letThrough(priority, grant, askedAt);
    if (grant.paused) this.#turnAwayBefore(grant.waitMs.person);
    const waits = this.#waitingKinds().map((priority) => grant.waitMs[priority]);
    return waits.length === 0 ? 0 : Math.min(...waits);
  }

  #waitingKinds(): Priority[] {
    return priorities.filter((priority) => this.#line.count(priority) > 0);
  }

  /** No more than a window allows; while probing one alone, for whom all others wait. */
  #wanted(): Partial<ByPriority> {
    const waiting = this.#waitingKinds();
    if (this.#probing.isOn) return Object.fromEntries(waiting.slice(0, 1).map((priority) => [priority, 1]));
    return Object.fromEntries(
      waiting.map((priority) => [priority, Math.min(this.#line.count(priority), this.#permits.calls)]),
    );
  }

  #letThrough(priority: Priority, grant: Grant, askedAt: Moment): void {
    const waiter = this.#line.takeNext(priority);
    const now = performance.now();
    const permission = new Permission({
      askedAt,
      waitedMs: waiter ? now - waiter.since : 0,
      mayPass: () => !this.#closed && this.#restMs <= 0,
      giveBack: () => this.#tell(this.#permits.giveBack(this.#key, grant.grantedAt)),
      restamp: () => this.#tell(this.#permits.restamp(this.#key, grant.grantedAt)),
    });
    // Everyone left while the budget was asked.
    if (waiter) waiter.settle(permission);
    else permission.giveBack();
  }

  /** The log of sendings is put right behind the caller's back; if that fails it is too strict or 250 ms off at most. */
  #tell(told: Promise<void>): void {
    told
      .then(() => this.#wake?.())
      .catch((error: unknown) =>
        this.#logger.warn(
          { err: error, budget: this.#key },
          'A sending could not be corrected in the shared budget',
        ),
      );
  }

  #turnAwayBefore(waitMs: number): void {
    const until = this.#clock.now() + waitMs;
    this.#turnAway(
      () => this.#tooLong(waitMs),
      (waiter) => waiter.deadline <= until,
    );
  }

  #turnAway(reason: () => AppError, whom: (waiter: Waiter) => boolean = () => true): void {
    for (const waiter of this.#line.items().filter(whom))
      if (this.#line.remove(waiter)) waiter.settle(reason());
  }

  #tooLong(retryAfterMs: number): AppError {
    if (this.#probing.isOn) {
      return new AppError(
        'UPSTREAM_UNAVAILABLE',
        'The upstream has not answered in time for a while. Try again in a few seconds.',
        {
          details: { retryAfterMs: probeEveryMs },
        },
      );
    }
    return new AppError(
      'UPSTREAM_RATE_LIMITED',
      `The upstream's rate limit leaves no room before the deadline. Try again in ${Math.ceil(retryAfterMs / 1_000)} s.`,
      { details: { retryAfterMs: Math.ceil(retryAfterMs) } },
    );
  }

  /** Until then, or until something has changed: a permission came back, the upstream answers again, we close. */
  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
      const timer = setTimeout(wake, Math.min(Math.ceil(ms), maxTimerMs));
      this.#wake = wake;
    });
  }
}
