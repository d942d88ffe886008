import { readFileSync } from 'node:fs';

/** What the processor gave a process. */
export interface ProcessorTime {
  /** Taken by all of its threads, in milliseconds. */
  usedMs: number;
  /** For which its main thread could have run and others did, in milliseconds. */
  waitedMs: number;
  /** How many times as long its main thread took as on a machine of its own; 1 where that is not told. */
  slowness: number;
}

/** How long a tick of /proc is; the same on every Linux. */
const tickMs = 10;

/** Of a living process. On systems without /proc nothing is known of it. */
export function processorTime(pid: number): ProcessorTime {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in brackets may hold anything; user and system time are the 12th and 13th word behind it.
    const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [ranNs = 0, waitedNs = 0] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ').map(Number);
    return {
      usedMs: (Number(words[11]) + Number(words[12])) * tickMs,
      waitedMs: waitedNs / 1_000_000,
      slowness: (ranNs + waitedNs) / ranNs,
    };
  } catch {
    return { usedMs: 0, waitedMs: 0, slowness: 1 };
  }
}
