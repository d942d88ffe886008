/** The values of a statement that is being written. What callers give gets into it as parameters alone. */
export class StatementValues {
  readonly list: unknown[] = [];

  /** @param type PostgreSQL's, so that no parameter is ambiguous */
  add(value: unknown, type: string): string {
    this.list.push(value);
    return `$${this.list.length}::${type}`;
  }
}

/** A cell of `record`; NULL where it is empty. Ids of fields have been checked to be letters and digits (`isCopied`). */
export function cellOf(fieldId: string): string {
  return `record.cells->'${fieldId}'`;
}

/** The text of a cell that holds one. */
export function textOf(fieldId: string): string {
  return `record.cells->>'${fieldId}'`;
}
