import { covers } from './field-set.ts';
import type { RecordNode } from './record-node.ts';

/** The records of one table that an operation has read, each with the cells that it knows. */
export class KnownRecords {
  /** Null for ids that the table does not have. */
  readonly #byId = new Map<string, RecordNode | null>();
  /** Those that came in another way than by their ids; sorted in when an id is asked for, which mostly none is. */
  #others: (readonly RecordNode[])[] = [];

  /** Undefined for an id that was not met yet. */
  get(id: string): RecordNode | null | undefined {
    this.#sortIn();
    return this.#byId.get(id);
  }

  /** One that is known with more cells stays as it is: an answer may be older than one that came before it. */
  set(id: string, record: RecordNode | null): void {
    this.#sortIn();
    const known = this.#byId.get(id);
    if (!record || !known || !knowsMore(known, record)) this.#byId.set(id, record);
  }

  /** One that is known with more cells stays as it is. */
  add(records: readonly RecordNode[]): void {
    this.#others.push(records);
  }

  clear(): void {
    this.#byId.clear();
    this.#others = [];
  }

  #sortIn(): void {
    if (this.#others.length === 0) return;
    for (const record of this.#others.flat()) {
      const known = this.#byId.get(record.id);
      if (!known || covers(record.origin.known, known.origin.known)) this.#byId.set(record.id, record);
    }
    this.#others = [];
  }
}

/** Whether it knows all cells that the other knows, and others. */
function knowsMore({ origin }: RecordNode, other: RecordNode): boolean {
  return covers(origin.known, other.origin.known) && !covers(other.origin.known, origin.known);
}
