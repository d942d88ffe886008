import type { WireTable } from '../calendly/wire.ts';
import { AppError } from '../errors.ts';
import { suggestion } from '../nearest-name.ts';
import { TableSchema } from './table-schema.ts';

/** All tables of a base as the upstream described them at one moment. */
export class BaseSchema {
  readonly baseId: string;
  readonly tables: readonly TableSchema[];
  /** Milliseconds since the epoch. */
  readonly readAt: number;
  readonly #byId: ReadonlyMap<string, TableSchema>;
  readonly #byName: ReadonlyMap<string, TableSchema>;

  constructor(baseId: string, tables: readonly WireTable[], readAt: number) {
    this.baseId = baseId;
    this.tables = tables.map((table) => new TableSchema(table));
    this.readAt = readAt;
    this.#byId = new Map(this.tables.map((table) => [table.id, table]));
    this.#byName = new Map(this.tables.map((table) => [table.name, table]));
  }

  /** By id or by exact name; an id wins over a table that is named like one. */
  findTable(idOrName: string): TableSchema | null {
    return this.#byId.get(idOrName) ?? this.#byName.get(idOrName) ?? null;
  }

  /** @throws AppError TABLE_NOT_FOUND, suggesting the nearest name. */
  getTable(idOrName: string): TableSchema {
    const table = this.findTable(idOrName);
    if (table) return table;
    throw new AppError(
      'TABLE_NOT_FOUND',
      `The base ${this.baseId} has no table ${JSON.stringify(idOrName.slice(0, 100))}, neither by id nor by name.${suggestion(idOrName, this.#byName.keys())}`,
      { details: { baseId: this.baseId, table: idOrName.slice(0, 100) } },
    );
  }
}
