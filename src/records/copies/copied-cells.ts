import type { TableSchema } from '../../bases/table-schema.ts';
import type { FieldSet } from '../field-set.ts';
import { isCreationTime } from './field-shapes.ts';
import type { SortField } from './sort-order.ts';
import { cellOf } from './statement.ts';

/** A record out of a copy: its id, its creation in milliseconds since the epoch, its cells in the order of their columns. */
export type CopiedRow = [id: string, createdAt: number, ...cells: unknown[]];

/** Functions of PostgreSQL take at most a hundred arguments. */
const maxColumns = 90;

/**
 * Which cells a statement asks for, and how they become cells by field id again. Few are asked for one by one: a record
 * holds far more than most answers show, and the keys need not travel with each of them.
 */
export class CopiedCells {
  /** Null: all cells of the record, as one object. */
  readonly #fieldIds: readonly string[] | null;
  readonly #creationTimes: readonly string[];

  constructor(table: TableSchema, fields: FieldSet, sort: readonly SortField[]) {
    const asked =
      fields === 'all'
        ? table.fields
        : table.fields.filter(({ id }) => fields.has(id) || sort.some(({ field }) => field.id === id));
    const stored = asked.filter((field) => !isCreationTime(field)).map(({ id }) => id);
    this.#fieldIds = fields === 'all' || stored.length > maxColumns ? null : stored;
    this.#creationTimes = asked.filter(isCreationTime).map(({ id }) => id);
  }

  /** The row of `record` as JSON. */
  get expression(): string {
    const cells = this.#fieldIds?.map(cellOf) ?? ['record.cells'];
    const createdAt = 'round(extract(epoch FROM record.created_time) * 1000)::bigint';
    return `json_build_array(${['record.record_id', createdAt, ...cells].join(', ')})`;
  }

  /** As a record of the upstream has them; empty ones are missing. */
  read(row: CopiedRow, createdTime: string): Record<string, unknown> {
    const cells = this.#fieldIds === null ? { ...(row[2] as object) } : columns(this.#fieldIds, row);
    for (const id of this.#creationTimes) cells[id] = createdTime;
    return cells;
  }
}

function columns(fieldIds: readonly string[], row: CopiedRow): Record<string, unknown> {
  const cells: Record<string, unknown> = {};
  for (let index = 0; index < fieldIds.length; index += 1) {
    const cell = row[index + 2];
    if (cell !== null) cells[fieldIds[index]!] = cell;
  }
  return cells;
}
