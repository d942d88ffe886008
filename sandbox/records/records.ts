import type { Bases } from '../bases/bases.ts';
import type { RecordDoc, SeedBase } from '../bases/documents.ts';
import type { Collection } from '../state/collection.ts';
import type { State } from '../state/state.ts';

/** The stored records, one collection per table, in order of creation. */
export class Records {
  /** Read for every linked record, so the name of the collection is put together only once. */
  private readonly collections = new Map<string, Collection<RecordDoc>>();

  constructor(
    private readonly state: State,
    private readonly bases: Bases,
  ) {}

  of(tableId: string): Collection<RecordDoc> {
    let collection = this.collections.get(tableId);
    if (collection === undefined) {
      collection = this.state.collection<RecordDoc>(`records/${tableId}`);
      this.collections.set(tableId, collection);
    }
    return collection;
  }

  find(tableId: string, recordId: string): RecordDoc | undefined {
    return this.of(tableId).get(recordId);
  }

  /** Looks in every table of the base. */
  findInBase(baseId: string, recordId: string): RecordDoc | undefined {
    for (const table of this.bases.tables(baseId)) {
      const record = this.find(table.id, recordId);
      if (record !== undefined) return record;
    }
    return undefined;
  }

  /** Puts a base with its tables and records into the state; records without an autoNumber get theirs in order. */
  plant(seed: SeedBase): void {
    this.state.atomically(() => {
      this.bases.put({ id: seed.id, name: seed.name });
      const lastNumbers = new Map<string, number>();
      for (const record of seed.records) {
        const autoNumber = record.autoNumber ?? (lastNumbers.get(record.tableId) ?? 0) + 1;
        lastNumbers.set(record.tableId, autoNumber);
        this.of(record.tableId).put(record.id, { ...record, autoNumber });
      }
      for (const table of seed.tables) {
        this.bases.putTable({ ...table, baseId: seed.id, lastAutoNumber: lastNumbers.get(table.id) ?? 0 });
      }
    });
  }
}
