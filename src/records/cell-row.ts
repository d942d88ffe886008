import type { FieldSchema, TableSchema } from '../bases/table-schema.ts';
import { readCell, type Cells } from './cell-values.ts';

/** Cells of a record as one JSON object. Which cells, under which keys, is worked out once for many records. */
export class CellRow {
  /** Null: every field, by its name. */
  readonly #names: readonly string[] | null;
  readonly #columns: { key: string; field: FieldSchema }[];
  /** An object with all keys in their order, and with what empty cells read as. */
  readonly #empty: Record<string, unknown>;

  /**
   * @param names ids or names of the fields, which become the keys as they are spelled; null for all by their names
   * @param fieldOf finds a named field, and throws where there is none
   */
  constructor(
    table: TableSchema,
    names: readonly string[] | null,
    fieldOf: (name: string) => FieldSchema = (name) => table.getField(name),
  ) {
    this.#names = names;
    this.#columns =
      names === null
        ? table.fields.map((field) => ({ key: field.name, field }))
        : names.map((name) => ({ key: name, field: fieldOf(name) }));
    // A field may be called `__proto__`, which an assignment would take for something else than a key.
    this.#empty = Object.fromEntries(this.#columns.map(({ key, field }) => [key, field.empty]));
  }

  /** Whether this is what the row of these names would be. Documents that spell them out give a new list each time. */
  isOf(names: readonly string[] | null): boolean {
    if (names === this.#names) return true;
    if (names === null || names.length !== this.#names?.length) return false;
    for (let index = 0; index < names.length; index += 1)
      if (names[index] !== this.#names[index]) return false;
    return true;
  }

  read(cells: Cells): Record<string, unknown> {
    // A copy of an object that has all keys is quicker than adding them one by one, and takes `__proto__` for a key.
    const values = { ...this.#empty };
    for (const { key, field } of this.#columns) {
      const cell = cells[field.id];
      if (cell !== undefined && cell !== null) values[key] = readCell(field, cell);
    }
    return values;
  }
}
