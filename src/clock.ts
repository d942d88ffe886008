/** The only source of "now" for decisions that tests must be able to move. Milliseconds since the epoch. */
export interface Clock {
  now(): number;
  /** Milliseconds between two looks of background work, for tests that would wait; without it each work has its own. */
  readonly lookEveryMs?: number;
}

export const systemClock: Clock = { now: () => Date.now() };
