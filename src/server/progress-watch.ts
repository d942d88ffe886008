import { elapsed, type Clock } from '../clock.ts';

/** A client that takes nothing of what waits for it for so long is sent away, in milliseconds. It may come back. */
const stalledAfterMs = 8_000;
/** How often it is looked at, in milliseconds. */
const checkIntervalMs = 250;

/**
 * Calls back once when what waits for a client has not become less for too long.
 * @returns stops watching
 */
export function watchProgress(waitingBytes: () => number, clock: Clock, onStalled: () => void): () => void {
  let last = waitingBytes();
  let movedAt = elapsed(clock);
  const timer = setInterval(() => {
    const bytes = waitingBytes();
    const now = elapsed(clock);
    if (bytes < last || bytes === 0) movedAt = now;
    last = bytes;
    if (now - movedAt < stalledAfterMs) return;
    clearInterval(timer);
    onStalled();
  }, checkIntervalMs);
  return () => clearInterval(timer);
}
