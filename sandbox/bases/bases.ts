import { notPermittedOrNotFound } from '../api-error.ts';
import type { Collection } from '../state/collection.ts';
import type { State } from '../state/state.ts';
import type { BaseDoc, TableDoc } from './documents.ts';

/** The bases and tables there are. Cells live in Records; both are views on one State. */
export class Bases {
  private readonly baseDocs: Collection<BaseDoc>;
  private readonly tableDocs: Collection<TableDoc>;

  constructor(state: State) {
    this.baseDocs = state.collection('bases');
    this.tableDocs = state.collection('tables');
  }

  /** In order of creation. */
  list(): BaseDoc[] {
    return [...this.baseDocs.values()];
  }

  find(baseId: string): BaseDoc | undefined {
    return this.baseDocs.get(baseId);
  }

  put(base: BaseDoc): void {
    this.baseDocs.put(base.id, base);
  }

  /** The tables of a base in order of creation. */
  tables(baseId: string): TableDoc[] {
    const tables: TableDoc[] = [];
    for (const table of this.tableDocs.values()) if (table.baseId === baseId) tables.push(table);
    return tables;
  }

  table(tableId: string): TableDoc | undefined {
    return this.tableDocs.get(tableId);
  }

  /** By id or, failing that, by exact name; within the base only. */
  findTable(baseId: string, idOrName: string): TableDoc | undefined {
    const byId = this.tableDocs.get(idOrName);
    if (byId?.baseId === baseId) return byId;
    for (const table of this.tableDocs.values()) {
      if (table.baseId === baseId && table.name === idOrName) return table;
    }
    return undefined;
  }

  /** As findTable; throws the 403 that does not tell a missing table from a forbidden one. */
  getTable(baseId: string, idOrName: string): TableDoc {
    const table = this.findTable(baseId, idOrName);
    if (table === undefined) throw notPermittedOrNotFound();
    return table;
  }

  putTable(table: TableDoc): void {
    this.tableDocs.put(table.id, table);
  }

  deleteTable(tableId: string): void {
    this.tableDocs.delete(tableId);
  }
}
