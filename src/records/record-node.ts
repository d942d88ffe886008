import type { TableSchema } from '../bases/table-schema.ts';
import type { FieldSet } from './field-set.ts';

/**
 * A record as one answer shows it. The cells stay as they came; they are decoded when somebody asks for them, since most
 * of a page of records is never looked at.
 */
export class RecordNode {
  readonly connectionId: number;
  readonly baseId: string;
  readonly tableId: string;
  readonly id: string;
  /** ISO 8601. Null where only the id was needed: a link tells no more. */
  readonly createdTime: string | null;
  /** By field id, in the format of the upstream's record endpoints; empty cells are missing. */
  readonly cells: Readonly<Record<string, unknown>>;
  /** The fields whose cells are known; a cell missing from `cells` is empty only if its field is among them. */
  readonly known: FieldSet;
  /** The schema that the cells were read with; null for a record from the change log, which keeps none. */
  readonly table: TableSchema | null;
  /** A moment before the upstream gave the cells, in milliseconds since the epoch; null where that was long ago. */
  readonly readAt: number | null;
  /** How many reads of the same operation had to end before this record could be asked for: 0 for the change log. */
  readonly level: number;

  constructor(record: {
    connectionId: number;
    baseId: string;
    tableId: string;
    id: string;
    createdTime: string | null;
    cells: Readonly<Record<string, unknown>>;
    known: FieldSet;
    table?: TableSchema | null;
    level?: number;
    readAt?: number | null;
  }) {
    this.connectionId = record.connectionId;
    this.baseId = record.baseId;
    this.tableId = record.tableId;
    this.id = record.id;
    this.createdTime = record.createdTime;
    this.cells = record.cells;
    this.known = record.known;
    this.table = record.table ?? null;
    this.level = record.level ?? 0;
    this.readAt = record.readAt ?? null;
  }

  knows(fieldId: string): boolean {
    return this.known === 'all' || this.known.has(fieldId);
  }

  /** The same record, showing no more than was asked. */
  cutTo(fields: FieldSet, level: number): RecordNode {
    if (fields === this.known && level === this.level) return this;
    return new RecordNode({ ...this, known: fields, level });
  }
}
