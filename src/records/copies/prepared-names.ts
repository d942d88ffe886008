/** Statements that a connection of the pool keeps prepared at most. */
const maxPrepared = 100;
/** Statements that are remembered, to find out which come again. */
const maxMet = 1_000;

/**
 * Names for the statements that come again: PostgreSQL then parses them once per connection. It keeps each until the
 * connection ends, so what comes once stays nameless, and so does what comes when all names are given away.
 */
export class PreparedNames {
  readonly #names = new Map<string, string>();
  readonly #met = new Set<string>();

  nameOf(text: string): { name?: string } {
    const name = this.#names.get(text);
    if (name !== undefined) return { name };
    if (this.#names.size >= maxPrepared) return {};
    if (this.#met.has(text)) {
      this.#met.delete(text);
      this.#names.set(text, `copy_${this.#names.size}`);
    } else {
      if (this.#met.size >= maxMet) this.#met.clear();
      this.#met.add(text);
    }
    return {};
  }
}
