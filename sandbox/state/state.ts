import { join } from 'node:path';
import { Collection } from './collection.ts';
import { Journal, type JournalOperation } from './journal.ts';

/**
 * Everything the sandbox remembers: named collections of JSON documents. With a data folder each change is written to
 * `<dataDir>/sandbox.jsonl` before the call returns, and the file is compacted at every start; without one it is memory only.
 */
export class State {
  private readonly collections = new Map<string, Collection<unknown>>();
  private readonly journal: Journal | undefined;
  private together: JournalOperation[] | undefined;

  constructor(dataDir?: string) {
    if (dataDir === undefined) return;
    this.journal = new Journal(join(dataDir, 'sandbox.jsonl'));
    for (const operation of this.journal.read()) this.open(operation[1]).restore(operation);
    this.journal.rewrite(this.operations());
  }

  /** The collection of that name; made empty on first use. One document type per name is the caller's duty. */
  collection<T>(name: string): Collection<T> {
    return this.open(name) as Collection<T>;
  }

  /**
   * Runs `change` and writes all it puts and deletes as one line: after a crash either all of it is there or nothing.
   * Not undone in memory when `change` throws (what it did until then is still written): validate first, then change.
   */
  atomically<R>(change: () => R): R {
    if (this.together !== undefined) return change();
    const operations: JournalOperation[] = [];
    this.together = operations;
    try {
      return change();
    } finally {
      this.together = undefined;
      if (operations.length > 0) this.journal?.append(operations);
    }
  }

  /** Forgets every document of every collection. */
  reset(): void {
    this.atomically(() => {
      for (const collection of this.collections.values()) collection.clear();
    });
    this.journal?.rewrite([]);
  }

  /** Changes after this are refused by nothing but reopen the file: close last. */
  close(): Promise<void> {
    this.journal?.close();
    return Promise.resolve();
  }

  private open(name: string): Collection<unknown> {
    let collection = this.collections.get(name);
    if (collection === undefined) {
      collection = new Collection<unknown>(name, (operation) => this.record(operation));
      this.collections.set(name, collection);
    }
    return collection;
  }

  private record(operation: JournalOperation): void {
    if (this.journal === undefined) return;
    if (this.together !== undefined) this.together.push(operation);
    else this.journal.append([operation]);
  }

  private *operations(): IterableIterator<JournalOperation> {
    for (const collection of this.collections.values()) {
      for (const [id, doc] of collection.entries()) yield ['put', collection.name, id, doc];
    }
  }
}
