import type { JournalOperation } from './journal.ts';

/**
 * Documents by id, in the order of their first `put`. A document is a JSON value and is never changed in place: build a
 * new one and `put` it, or the change is missing from the journal.
 */
export class Collection<T> {
  private readonly docs = new Map<string, T>();

  constructor(
    readonly name: string,
    private readonly record: (operation: JournalOperation) => void,
  ) {}

  get(id: string): T | undefined {
    return this.docs.get(id);
  }

  put(id: string, doc: T): void {
    this.docs.set(id, doc);
    this.record(['put', this.name, id, doc]);
  }

  delete(id: string): boolean {
    const existed = this.docs.delete(id);
    if (existed) this.record(['delete', this.name, id]);
    return existed;
  }

  clear(): void {
    if (this.docs.size === 0) return;
    this.docs.clear();
    this.record(['clear', this.name]);
  }

  values(): IterableIterator<T> {
    return this.docs.values();
  }

  entries(): IterableIterator<[string, T]> {
    return this.docs.entries();
  }

  get size(): number {
    return this.docs.size;
  }

  /** Takes over what the journal says, without writing it again. Only State calls it, while it opens. */
  restore(operation: JournalOperation): void {
    if (operation[0] === 'put') this.docs.set(operation[2], operation[3] as T);
    else if (operation[0] === 'delete') this.docs.delete(operation[2]);
    else this.docs.clear();
  }
}
