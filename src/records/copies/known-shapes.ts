import type { FieldSchema } from '../../bases/table-schema.ts';
import { keepsOrder, keepsShape, type FieldShape, type FieldShapes } from './field-shapes.ts';
import type { SortField } from './sort-order.ts';

/** Tables whose copies are remembered, and copies of each. */
const maxTables = 500;
const maxPerTable = 20;

/** Copies by the keys of their shapes: whether their cells are what the upstream would give now. */
export interface Verdicts {
  fitting: readonly string[];
  unfit: readonly string[];
}

/**
 * What the fields of copies were like when they were read, as this process has met it, by a key that changes with it: it
 * is large and seldom changes, so it travels once and is held against each field once.
 */
export class KnownShapes {
  readonly #tables = new Map<string, Map<string, FieldShapes>>();
  readonly #kept = new WeakMap<FieldSchema, WeakMap<FieldShape, boolean>>();

  learn(tableId: string, key: string, shapes: FieldShapes): void {
    const known = this.#tables.get(tableId) ?? new Map<string, FieldShapes>();
    this.#tables.delete(tableId);
    this.#tables.set(tableId, known.set(key, shapes));
    dropFirst(known, maxPerTable);
    dropFirst(this.#tables, maxTables);
  }

  verdicts(tableId: string, fields: readonly FieldSchema[], sort: readonly SortField[]): Verdicts {
    const fitting: string[] = [];
    const unfit: string[] = [];
    for (const [key, shapes] of this.#tables.get(tableId) ?? []) {
      const fits = this.#keep(fields, shapes) && keepOrders(sort, shapes);
      (fits ? fitting : unfit).push(key);
    }
    return { fitting, unfit };
  }

  /** Whether only the order of choices is another: then what the caller knows may be older than the copy. */
  isReordered(
    tableId: string,
    key: string,
    fields: readonly FieldSchema[],
    sort: readonly SortField[],
  ): boolean {
    const shapes = this.#tables.get(tableId)?.get(key);
    return shapes !== undefined && this.#keep(fields, shapes) && !keepOrders(sort, shapes);
  }

  #keep(fields: readonly FieldSchema[], shapes: FieldShapes): boolean {
    return fields.every((field) => this.#keeps(field, shapes[field.id]));
  }

  #keeps(field: FieldSchema, shape: FieldShape | undefined): boolean {
    if (!shape) return false;
    let byShape = this.#kept.get(field);
    if (!byShape) this.#kept.set(field, (byShape = new WeakMap<FieldShape, boolean>()));
    let keeps = byShape.get(shape);
    if (keeps === undefined) byShape.set(shape, (keeps = keepsShape(field, shape)));
    return keeps;
  }
}

function keepOrders(sort: readonly SortField[], shapes: FieldShapes): boolean {
  return sort.every(({ field }) => keepsOrder(field, shapes[field.id]));
}

function dropFirst(map: Map<string, unknown>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return;
    map.delete(key);
  }
}
