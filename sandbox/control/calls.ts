import type { Clock } from '../clock.ts';

const WINDOW_MS = 1_000;
/** Bases counted one by one; calls to further ones count in the totals only. */
const MAX_BASES = 1_000;

export interface BaseCalls {
  total: number;
  byEndpoint: Record<string, number>;
  /** Most calls that arrived within any one second, refused ones included. */
  highestInOneSecond: number;
  /** How many were answered 429 for the rate limit. */
  limited: number;
}

interface BaseEntry extends BaseCalls {
  recent: number[];
}

/** Counts what arrives, by endpoint and base. Control calls and the start page are not counted. */
export class Calls {
  #total = 0;
  #byEndpoint: Record<string, number> = {};
  readonly #bases = new Map<string, BaseEntry>();

  constructor(private readonly clock: Clock) {}

  count(endpoint: string, baseId: string | undefined): void {
    this.#total += 1;
    this.#byEndpoint[endpoint] = (this.#byEndpoint[endpoint] ?? 0) + 1;
    const base = baseId === undefined ? undefined : this.#base(baseId);
    if (!base) return;
    const now = this.clock.now();
    base.total += 1;
    base.byEndpoint[endpoint] = (base.byEndpoint[endpoint] ?? 0) + 1;
    base.recent.push(now);
    const expired = base.recent.findIndex((time) => time > now - WINDOW_MS);
    base.recent.splice(0, expired);
    base.highestInOneSecond = Math.max(base.highestInOneSecond, base.recent.length);
  }

  countLimited(baseId: string): void {
    const base = this.#base(baseId);
    if (base) base.limited += 1;
  }

  snapshot(): { total: number; byEndpoint: Record<string, number>; byBase: Record<string, BaseCalls> } {
    const byBase: Record<string, BaseCalls> = {};
    for (const [baseId, { total, byEndpoint, highestInOneSecond, limited }] of this.#bases) {
      byBase[baseId] = { total, byEndpoint: { ...byEndpoint }, highestInOneSecond, limited };
    }
    return { total: this.#total, byEndpoint: { ...this.#byEndpoint }, byBase };
  }

  reset(): void {
    this.#total = 0;
    this.#byEndpoint = {};
    this.#bases.clear();
  }

  #base(baseId: string): BaseEntry | undefined {
    const known = this.#bases.get(baseId);
    if (known || this.#bases.size >= MAX_BASES) return known;
    const entry: BaseEntry = { total: 0, byEndpoint: {}, highestInOneSecond: 0, limited: 0, recent: [] };
    this.#bases.set(baseId, entry);
    return entry;
  }
}
