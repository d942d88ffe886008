import { isObject } from '../../calendly/cell-values.ts';
import { isUpstreamId } from '../../calendly/ids.ts';
import type { FieldSchema, TableSchema } from '../../bases/table-schema.ts';
import { choicesOf } from './choice-order.ts';

/** What the meaning of a field's cells hangs on. The upstream tells of no cell when one of these changes. */
export interface FieldShape {
  type: string;
  /** Names of the choices of a select, by id. */
  choices?: Record<string, string>;
  /** Their ids in their order, as it was told last: no cell hangs on it, but the order of records. */
  order?: readonly string[];
  /** The table behind a link. */
  linkedTableId?: string;
}

export type FieldShapes = Readonly<Record<string, FieldShape>>;

/** What the fields of a table are like, by id: to be kept beside cells that are read with this schema. */
export function fieldShapes(table: TableSchema): FieldShapes {
  return Object.fromEntries(table.fields.map((field) => [field.id, shapeOf(field)]));
}

/**
 * Whether cells that were read when the field had this shape are what the upstream would give now. Choices that have come
 * since do no harm; one that was renamed or deleted has changed cells without a change of theirs being told.
 */
export function keepsShape(field: FieldSchema, known: FieldShape | undefined): boolean {
  if (!known) return false;
  const now = shapeOf(field);
  if (now.type !== known.type || now.linkedTableId !== known.linkedTableId) return false;
  return Object.entries(known.choices ?? {}).every(([id, name]) => now.choices?.[id] === name);
}

/** Whether records are sorted by the field as the upstream would do it now. */
export function keepsOrder(field: FieldSchema, known: FieldShape | undefined): boolean {
  const now = choicesOf(field)?.map(({ id }) => id) ?? [];
  const then = known?.order ?? [];
  return now.length === then.length && now.every((id, index) => id === then[index]);
}

/** The same shapes with the order that choices have in a table that was read since. */
export function withOrders(known: FieldShapes, table: TableSchema): FieldShapes {
  return Object.fromEntries(
    Object.entries(known).map(([id, shape]) => {
      const field = table.fields.find((one) => one.id === id);
      const choices = field && choicesOf(field);
      return [id, choices ? { ...shape, order: choices.map((choice) => choice.id) } : shape];
    }),
  );
}

/** Whether no field of a table has become another, as far as its cells are kept. One that is gone or new is none. */
export function keepsShapes(table: TableSchema, known: FieldShapes): boolean {
  return table.fields.every(
    (field) => !isCopied(field) || !known[field.id] || keepsShape(field, known[field.id]),
  );
}

function shapeOf(field: FieldSchema): FieldShape {
  const names = namesById(field);
  const choices = choicesOf(field);
  return {
    type: field.type,
    ...(names && { choices: names }),
    ...(choices && { order: choices.map(({ id }) => id) }),
    ...(field.linkedTableId !== null && { linkedTableId: field.linkedTableId }),
  };
}

function namesById({ options }: FieldSchema): Record<string, string> | null {
  const choices = options?.choices;
  if (!Array.isArray(choices)) return null;
  return Object.fromEntries(
    choices.flatMap((choice: unknown) =>
      isObject(choice) && typeof choice.id === 'string' && typeof choice.name === 'string'
        ? [[choice.id, choice.name]]
        : [],
    ),
  );
}

/** Types whose cells change by a change of the record alone, which the upstream tells. */
const recordedTypes = new Set([
  'singleLineText',
  'multilineText',
  'richText',
  'email',
  'url',
  'phoneNumber',
  'number',
  'percent',
  'currency',
  'rating',
  'duration',
  'checkbox',
  'date',
  'dateTime',
  'singleSelect',
  'multipleSelects',
  'multipleRecordLinks',
  'barcode',
]);

/**
 * Whether a copy of the field's cells can be what the upstream would give. Not so for what it computes from other records
 * or the clock, for people, who can be renamed, and for files, whose addresses expire. When a record was created is not
 * told by a cell but with the record.
 */
export function isCopied(field: FieldSchema): boolean {
  return (recordedTypes.has(field.type) || isCreationTime(field)) && isUpstreamId('fld', field.id);
}

/** A field that shows the instant at which the record was created. */
export function isCreationTime(field: FieldSchema): boolean {
  return field.type === 'createdTime' && !showsDay(field);
}

/** Whether it shows a day alone, in a time zone that is not documented. */
function showsDay({ options }: FieldSchema): boolean {
  return isObject(options?.result) && options.result.type === 'date';
}
