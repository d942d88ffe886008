/** Sockets that are taken in one turn of the event loop. */
const maxPerTurn = 5;

/**
 * Takes sockets a few at a time, in the order in which they came. A thousand that come back at once after a deploy would
 * otherwise go through each of their steps in one turn all together, and whoever asks something meanwhile would wait for
 * all of them at each.
 */
export class UpgradeLine {
  #waiting: (() => void)[] = [];

  /** How many wait. */
  get length(): number {
    return this.#waiting.length;
  }

  join(take: () => void): void {
    if (this.#waiting.push(take) === 1) setImmediate(() => this.#takeSome());
  }

  #takeSome(): void {
    for (const take of this.#waiting.splice(0, maxPerTurn)) take();
    if (this.#waiting.length > 0) setImmediate(() => this.#takeSome());
  }
}
