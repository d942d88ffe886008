import { seededRandom } from '../ids.ts';

const DAY_MS = 86_400_000;

/** Repeatable choices for seed data. */
export class SeedRandom {
  readonly next: () => number;

  constructor(seed: number) {
    this.next = seededRandom(seed);
  }

  /** From `from` up to, but not including, `to`. */
  integer(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from));
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  /** Undefined except in the given share of calls. */
  sometimes<T>(share: number, value: () => T): T | undefined {
    return this.chance(share) ? value() : undefined;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.integer(0, items.length)];
    if (item === undefined) throw new Error('Nothing to pick from');
    return item;
  }

  /** Up to `most` different items, in the order they were drawn. */
  some<T>(items: readonly T[], most: number): T[] {
    const chosen = new Set<T>();
    for (let left = this.integer(1, most + 1); left > 0; left -= 1) chosen.add(this.pick(items));
    return [...chosen];
  }

  /** `YYYY-MM-DD` */
  date(fromYear: number, toYear: number): string {
    return this.dateTime(fromYear, toYear).slice(0, 10);
  }

  /** ISO, on a whole minute */
  dateTime(fromYear: number, toYear: number): string {
    const start = Date.UTC(fromYear, 0, 1);
    const days = (Date.UTC(toYear, 0, 1) - start) / DAY_MS;
    return new Date(start + this.integer(0, days * 1_440) * 60_000).toISOString();
  }
}
