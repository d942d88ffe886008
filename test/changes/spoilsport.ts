import { setTimeout as delay } from 'node:timers/promises';
import { control } from '../support/app.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

const payloads = { method: 'GET', path: '/v0/bases/*/webhooks/*/payloads' };

/** How calls for payloads fail: refused, broken, cut off, unreadable, late. */
const faults = [
  { kind: 'status', status: 429, headers: { 'retry-after': '1' } },
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503 },
  { kind: 'reset', effect: 'before' },
  { kind: 'reset', effect: 'after' },
  { kind: 'malformed', effect: 'after' },
  { kind: 'delay', effect: 'after', delayMs: 700 },
];

/** How pings travel. */
const journeys = [
  { drop: false, repeat: 0, delayMs: 0 },
  { drop: 0.5, repeat: 0, delayMs: 0 },
  { drop: true, repeat: 0, delayMs: 0 },
  { drop: 0.1, repeat: 4, delayMs: [0, 500] },
  { drop: false, repeat: 2, delayMs: [0, 3_000] },
  { drop: 0.3, repeat: 0, delayMs: 1_500 },
];

/** Spoils pings and calls for payloads at the sandbox, another way again and again. */
export class Spoilsport {
  readonly #sandboxUrl: string;
  readonly #random: SeededRandom;
  readonly #over = new AbortController();
  #life: Promise<void> = Promise.resolve();

  constructor(sandboxUrl: string, random: SeededRandom) {
    this.#sandboxUrl = sandboxUrl;
    this.#random = random;
  }

  start(): void {
    this.#life = this.#spoil();
  }

  /** Leaves everything in order. */
  async end(): Promise<void> {
    this.#over.abort();
    await this.#life;
    await control(this.#sandboxUrl, 'pings', { drop: false, repeat: 0, delayMs: 0 });
    await fetch(`${this.#sandboxUrl}/_control/faults`, { method: 'DELETE' });
  }

  async #spoil(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      await control(this.#sandboxUrl, 'pings', this.#random.of(journeys));
      await fetch(`${this.#sandboxUrl}/_control/faults`, { method: 'DELETE' });
      const times = this.#random.whole(1, 3);
      await control(this.#sandboxUrl, 'faults', { match: payloads, times, ...this.#random.of(faults) });
      await delay(this.#random.between(200, 2_000), undefined, { signal }).catch(() => undefined);
    }
  }
}
