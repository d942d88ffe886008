import { isObject } from '../../calendly/cell-values.ts';
import { isUpstreamId } from '../../calendly/ids.ts';
import type { FieldSchema, TableSchema } from '../../bases/table-schema.ts';

/** What the meaning of a field's cells hangs on. The upstream tells of no cell when one of these changes. */
interface FieldShape {
  type: string;
  /** Names of the choices of a select, by id. */
  choices?: Record<string, string>;
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

/** Whether no field of a table has become another, as far as its cells are kept. One that is gone or new is none. */
export function keepsShapes(table: TableSchema, known: FieldShapes): boolean {
  return table.fields.every(
    (field) => !isCopied(field) || !known[field.id] || keepsShape(field, known[field.id]),
  );
}

function shapeOf(field: FieldSchema): FieldShape {
  const choices = choicesOf(field);
  return {
    type: field.type,
    ...(choices && { choices }),
    ...(field.linkedTableId !== null && { linkedTableId: field.linkedTableId }),
  };
}

function choicesOf({ options }: FieldSchema): Record<string, string> | null {
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
