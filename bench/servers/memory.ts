import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const collections = 4;
/** Between two looks: each collects the garbage first, which takes a while. */
const lookMs = 200;

export interface Memory {
  /** Bytes that the system has given to the process. */
  rss: number;
  /** Bytes of live objects and buffers. */
  heap: number;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** What the process holds once its garbage is gone. */
export async function memoryInUse(): Promise<Memory> {
  for (let turn = 0; turn < collections; turn += 1) {
    collect();
    await setTimeout(50);
  }
  return now();
}

let looking: NodeJS.Timeout | undefined;
let highest: Memory = { rss: 0, heap: 0 };

/** From here on the highest is kept of what stays when the garbage is gone. @returns what is in use at the beginning */
export async function watchMemory(): Promise<Memory> {
  const begin = await memoryInUse();
  highest = begin;
  looking = setInterval(() => {
    collect();
    const { rss, heap } = now();
    highest = { rss: Math.max(highest.rss, rss), heap: Math.max(highest.heap, heap) };
  }, lookMs);
  return begin;
}

export function highestMemory(): Memory {
  clearInterval(looking);
  return highest;
}

function now(): Memory {
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, heap: heapUsed + external };
}
