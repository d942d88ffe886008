import type { Clock } from '../clock.ts';
import { keyIdOf } from './api-key.ts';
import type { Caller } from './caller.ts';
import type { KeyWatch } from './key-watch.ts';

/**
 * Longest sleep before a token's end is compared with the clock again, in milliseconds. Timers do not notice that the
 * clock was set or the machine slept, and fire at once when they are set to more than 24 days.
 */
const maxSleepMs = 60_000;

/** Notices that callers may no longer call: that their key has ended in whatever way, or that their token has expired. */
export class CallerWatch {
  readonly #keys: KeyWatch;
  readonly #clock: Clock;
  readonly #timers = new Set<() => void>();

  constructor(deps: { keys: KeyWatch; clock: Clock }) {
    this.#keys = deps.keys;
    this.#clock = deps.clock;
  }

  /**
   * Calls back once, never before it has returned, when the caller has ended.
   * @returns stops watching
   */
  watch(caller: Caller, onEnded: () => void): () => void {
    if (keyIdOf(caller.id) !== null) return this.#keys.watch(caller.id, onEnded);
    return caller.expiresAt ? this.#watchEnd(caller.expiresAt.getTime(), onEnded) : () => undefined;
  }

  close(): void {
    for (const stop of [...this.#timers]) stop();
    this.#keys.close();
  }

  #watchEnd(endsAt: number, onEnded: () => void): () => void {
    let timer: NodeJS.Timeout;
    const stop = (): void => {
      clearTimeout(timer);
      this.#timers.delete(stop);
    };
    const look = (): void => {
      const leftMs = endsAt - this.#clock.now();
      timer = setTimeout(
        () => {
          if (endsAt > this.#clock.now()) return look();
          stop();
          onEnded();
        },
        Math.min(Math.max(leftMs, 0), maxSleepMs),
      );
    };
    this.#timers.add(stop);
    look();
    return stop;
  }
}
