import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';

/** Keys of one statement. */
const maxKeysPerRead = 1_000;

/**
 * Statements that follow each other leave no sooner than this after the one before, in milliseconds: of those who come at
 * once, each still comes in a turn of its own.
 */
const intervalMs = 15;

/** Longest wait for the statement before, in milliseconds: one that hangs must not hold up everybody behind it. */
const maxWaitMs = 200;

interface Batch<K, V> {
  keys: Set<K>;
  rows: Promise<ReadonlyMap<K, V>>;
}

/**
 * Looks rows up by their keys, those of all who ask in the same turn of the event loop, or soon after a statement or while
 * it is under way, with the next statement. It leaves after all of them have asked, so nobody is told anything older than
 * by a statement of its own; and however many ask at once, they take one connection of the pool.
 */
export class GatheredReads<K extends string | number, V extends object> {
  readonly #read: (keys: K[]) => Promise<ReadonlyMap<K, V>>;
  #next: Batch<K, V> | null = null;
  #underWay: Promise<unknown> | null = null;

  /** @param read Rows by key; keys without a row are left out. */
  constructor(read: (keys: K[]) => Promise<ReadonlyMap<K, V>>) {
    this.#read = read;
  }

  /** The row is shared with others who asked at the same time, and must not be changed. */
  async find(key: K): Promise<Readonly<V> | null> {
    const batch = (this.#next ??= this.#begin());
    batch.keys.add(key);
    if (batch.keys.size === maxKeysPerRead) this.#next = null;
    return (await batch.rows).get(key) ?? null;
  }

  #begin(): Batch<K, V> {
    const keys = new Set<K>();
    const left = this.#leave(keys, this.#underWay);
    const rows = left.then(() => this.#read([...keys]));
    const over = (): void => {
      if (this.#underWay === ended) this.#underWay = null;
    };
    const pause = left.then(() => delay(intervalMs, undefined, { ref: false }));
    const ended: Promise<unknown> = Promise.allSettled([rows, pause]).then(over);
    this.#underWay = ended;
    return { keys, rows };
  }

  /** Comes back when the statement is to leave; whoever asks from then on is for the next one. */
  async #leave(keys: Set<K>, before: Promise<unknown> | null): Promise<void> {
    await nextTurn();
    if (before) await within(before, maxWaitMs);
    if (this.#next?.keys === keys) this.#next = null;
  }
}

async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([work, late]);
  clearTimeout(timer);
}
