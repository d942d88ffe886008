/** The only source of "now" for decisions that tests must be able to move. Milliseconds since the epoch. */
export interface Clock {
  now(): number;
  /** Milliseconds that have passed since any moment; see `elapsed`. */
  readonly monotonic?: () => number;
  /** Milliseconds between two looks of background work, for tests that would wait; without it each work has its own. */
  readonly lookEveryMs?: number;
}

export const systemClock: Clock = { now: () => Date.now(), monotonic: () => performance.now() };

/**
 * For how long something takes, which setting the machine's clock must not change: only differences mean anything. A clock
 * without it, as a test moves one, tells it by `now`.
 */
export function elapsed(clock: Clock): number {
  return clock.monotonic?.() ?? clock.now();
}
