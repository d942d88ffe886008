/** Chance that can be had again: the same seed draws the same numbers. */
export class SeededRandom {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** From `CHAOS_SEED`, to replay a run; else a new one. */
  static fromEnvironment(): SeededRandom {
    const given = process.env['CHAOS_SEED'];
    return new SeededRandom(given ? Number(given) : Math.floor(Math.random() * 2 ** 31));
  }

  /** Chance of its own for somebody, so that what one does has no influence on what another draws. */
  for(name: string): SeededRandom {
    let hash = this.seed >>> 0;
    for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
    return new SeededRandom(hash);
  }

  /** At least `least`, below `below`; mulberry32 behind it. */
  between(least: number, below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return least + (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * (below - least);
  }

  whole(least: number, below: number): number {
    return Math.floor(this.between(least, below));
  }

  of<T>(items: readonly T[]): T {
    const item = items[this.whole(0, items.length)];
    if (item === undefined) throw new Error('There is nothing to draw from.');
    return item;
  }
}
