/** Whether chance gets the time it needs: `npm run test:long`. */
export const isLongRun = process.env['LONG_RUN'] === '1';

/** Third argument of a test that repeats itself, in milliseconds. */
export const timeLimitMs = isLongRun ? 60 * 60_000 : 90_000;

/** How often a test tries its luck: a few times among all the others, many times in the long run. */
export function repeats({ suite, long }: { suite: number; long: number }): number {
  return isLongRun ? long : suite;
}
