import type { LogEntry } from './log-entry.ts';
import { comparePositions, type Position } from './position.ts';

/** Index of the first entry after a position, by halving. */
export function firstAfter(entries: readonly LogEntry[], after: Position): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = entries[middle];
    if (entry && comparePositions(entry.position, after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
