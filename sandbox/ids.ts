import { randomBytes } from 'node:crypto';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const RANDOM_PART_LENGTH = 14;

/** The three-letter prefixes that the upstream documents or is known to use. */
export type IdPrefix =
  | 'app'
  | 'tbl'
  | 'fld'
  | 'viw'
  | 'rec'
  | 'sel'
  | 'att'
  | 'usr'
  | 'com'
  | 'ach'
  | 'wsp'
  | 'itr'
  | 'pbd'
  | 'ugp';

/** A small seeded generator (mulberry32): the same seed always gives the same numbers in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function cryptoRandom(): number {
  return randomBytes(4).readUInt32BE() / 4294967296;
}

/**
 * Makes ids: three letters and fourteen of [0-9A-Za-z], 17 characters in all. With a seed the sequence is repeatable;
 * never use a seeded one for secrets. A state that outlives the process must not meet the same seed twice, or ids repeat.
 */
export class Ids {
  private readonly random: () => number;

  constructor(seed?: number) {
    this.random = seed === undefined ? cryptoRandom : seededRandom(seed);
  }

  next(prefix: IdPrefix | (string & {})): string {
    let id: string = prefix;
    for (let i = 0; i < RANDOM_PART_LENGTH; i += 1)
      id += ALPHABET[Math.floor(this.random() * ALPHABET.length)];
    return id;
  }
}
