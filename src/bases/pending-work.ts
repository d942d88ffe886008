/**
 * What one operation still resolves, so that a batch leaves only when everything that belongs into it has arrived.
 *
 * Reads stand on levels. Level 1 needs nothing from another read; level n + 1 starts from a record that level n brought.
 * Before reads of a level can be asked for, something may have to be prepared, such as a table's schema. So the order is:
 * prepare 1, read 1, prepare 2, read 2, … and a batch of level n may leave once nothing up to "prepare n" is pending.
 * Whatever is pending waits for earlier steps only, so two batches can never wait for each other.
 *
 * A promise that settles lets its resolvers run in microtasks, and these may announce more work; therefore readiness is
 * looked at after they have run, in a macrotask.
 */
export class PendingWork {
  /** Pending promises by step: preparation of level n at 2n, reads of level n at 2n + 1. */
  readonly #counts: number[] = [];
  #waiting: { step: number; start: () => void }[] = [];
  #checkIsDue = false;

  /** Counts `work` as something that reads of this level may depend on. */
  preparing<T>(level: number, work: Promise<T>): Promise<T> {
    return this.#count(2 * level, work);
  }

  /** Counts `work` as a read of this level. */
  reading<T>(level: number, work: Promise<T>): Promise<T> {
    return this.#count(2 * level + 1, work);
  }

  /** Calls back, never at once, when everything before the reads of this level has settled. */
  whenReadyToRead(level: number, start: () => void): void {
    this.#waiting.push({ step: 2 * level, start });
    this.#checkSoon();
  }

  #count<T>(step: number, work: Promise<T>): Promise<T> {
    this.#counts[step] = (this.#counts[step] ?? 0) + 1;
    work.then(
      () => this.#settle(step),
      () => this.#settle(step),
    );
    return work;
  }

  #settle(step: number): void {
    this.#counts[step]! -= 1;
    if (this.#waiting.length > 0) this.#checkSoon();
  }

  #checkSoon(): void {
    if (this.#checkIsDue) return;
    this.#checkIsDue = true;
    setImmediate(() => {
      this.#checkIsDue = false;
      this.#startReady();
    });
  }

  #startReady(): void {
    const firstPending = this.#counts.findIndex((count) => count > 0);
    const isReady = ({ step }: { step: number }) => firstPending === -1 || firstPending > step;
    const ready = this.#waiting.filter(isReady);
    this.#waiting = this.#waiting.filter((batch) => !isReady(batch));
    for (const { start } of ready) start();
  }
}
