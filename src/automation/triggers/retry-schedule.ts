/*
 * When a delivery that failed is tried again: after a random time up to a bound that doubles with each failure, so that
 * what failed together does not come back together. After three days it is parked. They begin with its first attempt, and
 * anew with the first one after a pause, at another endpoint, or after a replay.
 */

const firstBoundMs = 5_000;
const maxBoundMs = 3 * 60 * 60_000;
const leastMs = 1_000;
/** How long a delivery is tried for, in milliseconds. */
export const triedForMs = 3 * 24 * 60 * 60_000;
/** Longest `Retry-After` of an endpoint that is heeded, in milliseconds. */
const maxRetryAfterMs = 60 * 60_000;

/** From this many failures in a row on, an endpoint is taken for down: one delivery at a time, with rests in between. */
export const failuresUntilResting = 5;
const maxRestMs = 60_000;

/** A trigger whose endpoint has taken nothing for this long is paused, in milliseconds. */
export const pausedAfterMs = 24 * 60 * 60_000;

/**
 * @param failures since its three days began
 * @returns milliseconds from now; null when it has been tried for long enough
 */
export function retryAfterMs(
  { failures, triedMs, askedMs }: { failures: number; triedMs: number; askedMs: number | null },
  random = Math.random(),
): number | null {
  if (triedMs >= triedForMs) return null;
  const bound = Math.min(maxBoundMs, firstBoundMs * 2 ** Math.min(failures - 1, 30));
  const waitMs = Math.max(leastMs + random * bound, Math.min(askedMs ?? 0, maxRetryAfterMs));
  // The last attempt is made at the end, not before.
  return Math.min(waitMs, Math.max(leastMs, triedForMs - triedMs));
}

/**
 * How long an endpoint is left alone after failures in a row, as SQL: a random half to whole of a bound that doubles.
 * @param failuresInRow an expression, of `failuresUntilResting` or more
 */
export function restAfter(failuresInRow: string): string {
  const bound = `least(${maxRestMs / 1_000}, 2 ^ least(${failuresInRow} - ${failuresUntilResting}, 10))`;
  return `make_interval(secs => ${bound} * (0.5 + random() / 2))`;
}
