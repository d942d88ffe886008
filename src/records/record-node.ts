import type { FieldSchema, TableSchema } from '../bases/table-schema.ts';
import type { WireRecord } from '../calendly/wire.ts';
import { CellRow } from './cell-row.ts';
import type { LiveReason } from './copies/live-reason.ts';
import type { FieldSet } from './field-set.ts';

/** Where records come from: the upstream, our copy of the table, our log of changes. */
export type RecordSource = 'LIVE' | 'COPY' | 'LOG';

/** How old records may be that are asked for, in milliseconds, and why those that came had to come from the upstream. */
export interface Freshness {
  /** Null: as they are now. */
  readonly maxAgeMs: number | null;
  readonly liveBecause: LiveReason | null;
}

export const asTheyAreNow: Freshness = { maxAgeMs: null, liveBecause: null };

/** What the records of one answer have in common, so that each of them carries no more than itself. */
export class RecordOrigin {
  readonly connectionId: number;
  readonly baseId: string;
  readonly tableId: string;
  /** The fields whose cells are known; a missing cell is empty only if its field is among them. */
  readonly known: FieldSet;
  /** The schema that the cells were read with; null for a record from the change log, which keeps none. */
  readonly table: TableSchema | null;
  /** A moment before the upstream gave the cells, in milliseconds since the epoch; null where that was long ago. */
  readonly readAt: number | null;
  readonly source: RecordSource;
  /** What was asked for, and holds for the records behind their links as well. */
  readonly freshness: Freshness;
  /** How many reads of the same operation had to end before these records could be asked for: 0 for the change log. */
  readonly level: number;
  /** By the names that were asked for. Each cell of each record asks, so what is found is found once. */
  readonly #fields = new Map<string, FieldSchema>();
  /** One for each place of the operation that asks for cells as JSON. */
  readonly #rows: CellRow[] = [];
  #cut: RecordOrigin | null = null;

  constructor(origin: {
    connectionId: number;
    baseId: string;
    tableId: string;
    known: FieldSet;
    table?: TableSchema | null;
    level?: number;
    readAt?: number | null;
    source?: RecordSource;
    freshness?: Freshness;
  }) {
    this.connectionId = origin.connectionId;
    this.baseId = origin.baseId;
    this.tableId = origin.tableId;
    this.known = origin.known;
    this.table = origin.table ?? null;
    this.level = origin.level ?? 0;
    this.readAt = origin.readAt ?? null;
    this.source = origin.source ?? 'LIVE';
    this.freshness = origin.freshness ?? asTheyAreNow;
  }

  knows(fieldId: string): boolean {
    return this.known === 'all' || this.known.has(fieldId);
  }

  /**
   * The field of that id or name, null when its cells are not known.
   * @throws AppError FIELD_NOT_FOUND when the table has none
   */
  knownField(table: TableSchema, name: string): FieldSchema | null {
    if (table !== this.table) return this.#known(table.getField(name));
    const met = this.#fields.get(name);
    if (met) return met;
    const field = this.#known(table.getField(name));
    if (field) this.#fields.set(name, field);
    return field;
  }

  /** Reads the cells of these names from each record. @param fieldOf see CellRow */
  rowOf(
    table: TableSchema,
    names: readonly string[] | null,
    fieldOf: (name: string) => FieldSchema,
  ): CellRow {
    if (table !== this.table) return new CellRow(table, names, fieldOf);
    for (const known of this.#rows) if (known.isOf(names)) return known;
    const row = new CellRow(table, names, fieldOf);
    this.#rows.push(row);
    return row;
  }

  #known(field: FieldSchema): FieldSchema | null {
    return this.knows(field.id) ? field : null;
  }

  /** The same, showing no more than was asked. */
  cutTo(fields: FieldSet, level: number, freshness: Freshness): RecordOrigin {
    const cut = this.#cut;
    if (fields === this.known && level === this.level && freshness === this.freshness) return this;
    // Records that were read together are mostly asked for together too.
    if (cut?.known === fields && cut.level === level && cut.freshness === freshness) return cut;
    return (this.#cut = new RecordOrigin({ ...this, known: fields, level, freshness }));
  }
}

/**
 * A record as one answer shows it. The cells stay as they came; they are decoded when somebody asks for them, since most
 * of a page of records is never looked at.
 */
export class RecordNode {
  readonly origin: RecordOrigin;
  readonly id: string;
  /** ISO 8601. Null where only the id was needed: a link tells no more. */
  readonly createdTime: string | null;
  /** By field id, in the format of the upstream's record endpoints; empty cells are missing. */
  readonly cells: Readonly<Record<string, unknown>>;

  constructor(
    origin: RecordOrigin,
    { id, createdTime, cells }: Pick<RecordNode, 'id' | 'createdTime' | 'cells'>,
  ) {
    this.origin = origin;
    this.id = id;
    this.createdTime = createdTime;
    this.cells = cells;
  }

  get connectionId(): number {
    return this.origin.connectionId;
  }

  get baseId(): string {
    return this.origin.baseId;
  }

  get tableId(): string {
    return this.origin.tableId;
  }

  get table(): TableSchema | null {
    return this.origin.table;
  }

  get level(): number {
    return this.origin.level;
  }

  /** The same record, showing no more than was asked. */
  cutTo(fields: FieldSet, level: number, freshness: Freshness): RecordNode {
    const origin = this.origin.cutTo(fields, level, freshness);
    return origin === this.origin ? this : new RecordNode(origin, this);
  }
}

/** Of records of a table at hand. */
export function originOf(
  { connectionId, baseId, table }: { connectionId: number; baseId: string; table: TableSchema },
  answer: {
    known: FieldSet;
    readAt: number | null;
    level: number;
    source?: RecordSource;
    freshness?: Freshness;
  },
): RecordOrigin {
  return new RecordOrigin({ connectionId, baseId, tableId: table.id, table, ...answer });
}

/** A record as the upstream gave it. */
export function nodeOf(origin: RecordOrigin, { id, createdTime, fields }: WireRecord): RecordNode {
  return new RecordNode(origin, { id, createdTime, cells: fields });
}
