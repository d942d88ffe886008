import { emptyCell } from '../calendly/cell-values.ts';
import type { WireField, WireTable, WireView } from '../calendly/wire.ts';
import { AppError } from '../errors.ts';
import { suggestion } from '../nearest-name.ts';

/** What the cells of a field can be read as. */
export type CellKind = 'text' | 'number' | 'date' | 'checkbox' | 'other';

const kinds = new Map<string, CellKind>(
  Object.entries({
    text: [
      'singleLineText',
      'multilineText',
      'richText',
      'email',
      'url',
      'phoneNumber',
      'singleSelect',
      'externalSyncSource',
    ],
    number: ['number', 'percent', 'currency', 'rating', 'duration', 'autoNumber', 'count'],
    date: ['date', 'dateTime', 'createdTime', 'lastModifiedTime'],
    checkbox: ['checkbox'],
  } satisfies Partial<Record<CellKind, string[]>>).flatMap(([kind, types]) =>
    types.map((type): [string, CellKind] => [type, kind as CellKind]),
  ),
);

const computedTypes = new Set([
  'autoNumber',
  'button',
  'count',
  'createdBy',
  'createdTime',
  'externalSyncSource',
  'aiText',
  'formula',
  'lastModifiedBy',
  'lastModifiedTime',
  'multipleLookupValues',
  'rollup',
]);

/** One field of a table, with what reading its cells needs worked out once. */
export class FieldSchema {
  readonly id: string;
  readonly name: string;
  /** The upstream's word. New types may appear at any time. */
  readonly type: string;
  readonly description: string | null;
  readonly options: Readonly<Record<string, unknown>> | null;
  /** Written by the upstream alone. */
  readonly computed: boolean;
  /** For computed fields the type of their result, where the upstream tells it; else `type`. */
  readonly valueType: string;
  readonly kind: CellKind;
  /** The value of a cell that the upstream left out of its answer. Shared, so never to be changed. */
  readonly empty: null | false | readonly [];
  /** The table behind a link field. */
  readonly linkedTableId: string | null;

  constructor(wire: WireField) {
    this.id = wire.id;
    this.name = wire.name;
    this.type = wire.type;
    this.description = wire.description ?? null;
    this.options = wire.options ?? null;
    this.computed = computedTypes.has(wire.type);
    this.valueType = resultType(wire) ?? wire.type;
    this.kind = wire.type === 'multipleLookupValues' ? 'other' : (kinds.get(this.valueType) ?? 'other');
    this.empty = Object.freeze(emptyCell(this.valueTypeOfCell));
    const linkedTableId = wire.options?.linkedTableId;
    this.linkedTableId =
      wire.type === 'multipleRecordLinks' && typeof linkedTableId === 'string' ? linkedTableId : null;
  }

  /** A lookup is a list whatever it looks up; other computed cells are empty as their result would be. */
  private get valueTypeOfCell(): string {
    return this.type === 'multipleLookupValues' ? this.type : this.valueType;
  }
}

function resultType(wire: WireField): string | null {
  if (wire.type !== 'formula' && wire.type !== 'rollup') return null;
  const result = wire.options?.result;
  if (typeof result !== 'object' || result === null || !('type' in result)) return null;
  return typeof result.type === 'string' ? result.type : null;
}

/** One table as the upstream described it, indexed by id and by name. */
export class TableSchema {
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  readonly primaryFieldId: string;
  readonly fields: readonly FieldSchema[];
  readonly views: readonly WireView[];
  /** By name and by id in one, since every cell of every record asks here. */
  readonly #byIdOrName = new Map<string, FieldSchema>();

  constructor(wire: WireTable) {
    this.id = wire.id;
    this.name = wire.name;
    this.description = wire.description ?? null;
    this.primaryFieldId = wire.primaryFieldId;
    this.fields = wire.fields.map((field) => new FieldSchema(field));
    this.views = wire.views;
    for (const field of this.fields) this.#byIdOrName.set(field.name, field);
    for (const field of this.fields) this.#byIdOrName.set(field.id, field);
  }

  /** By id or by exact name; an id wins over a field that is named like one. */
  findField(idOrName: string): FieldSchema | null {
    return this.#byIdOrName.get(idOrName) ?? null;
  }

  /** @throws AppError FIELD_NOT_FOUND, suggesting the nearest name. */
  getField(idOrName: string): FieldSchema {
    const field = this.findField(idOrName);
    if (field) return field;
    throw this.fieldNotFound(idOrName, { suggests: true });
  }

  /** @param suggests whether to look for the nearest name, which takes long enough to count where much is misspelt */
  fieldNotFound(idOrName: string, { suggests }: { suggests: boolean }): AppError {
    const near = suggests
      ? suggestion(
          idOrName,
          this.fields.map(({ name }) => name),
        )
      : '';
    return new AppError(
      'FIELD_NOT_FOUND',
      `The table ${JSON.stringify(this.name)} has no field ${JSON.stringify(idOrName.slice(0, 100))}.${near}`,
      { details: { tableId: this.id, field: idOrName.slice(0, 100) } },
    );
  }
}
