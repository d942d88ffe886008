import { emptyCell, isObject } from '../../calendly/cell-values.ts';
import type { FieldSchema } from '../../bases/table-schema.ts';
import { jsonText } from '../../changes/json-text.ts';
import type { MappedColumn } from '../sync.ts';

/** What the values of a field are, as far as columns go. */
export type ValueKind = 'text' | 'number' | 'boolean' | 'instant' | 'date' | 'list' | 'json';

const kinds: Readonly<Record<string, ValueKind>> = {
  singleLineText: 'text',
  multilineText: 'text',
  richText: 'text',
  email: 'text',
  url: 'text',
  phoneNumber: 'text',
  singleSelect: 'text',
  externalSyncSource: 'text',
  number: 'number',
  percent: 'number',
  currency: 'number',
  rating: 'number',
  duration: 'number',
  autoNumber: 'number',
  count: 'number',
  checkbox: 'boolean',
  dateTime: 'instant',
  createdTime: 'instant',
  lastModifiedTime: 'instant',
  date: 'date',
  multipleSelects: 'list',
  multipleRecordLinks: 'list',
};

/** Types that appear later are kept as they come. */
export function kindOf({ fieldType, valueType }: Pick<MappedColumn, 'fieldType' | 'valueType'>): ValueKind {
  if (fieldType === 'multipleLookupValues') return 'json';
  return kinds[valueType] ?? 'json';
}

/** The type of a column that is made for a field. */
export const ownColumnTypes: Readonly<Record<ValueKind, string>> = {
  text: 'text',
  number: 'numeric',
  boolean: 'boolean',
  instant: 'timestamp with time zone',
  date: 'date',
  list: 'text[]',
  json: 'jsonb',
};

const texts = ['text', 'character varying', 'character', 'citext'];
/** Types of existing columns, without their modifier, that take the values of a field. An enum takes texts. */
const takenBy: Readonly<Record<ValueKind, readonly string[]>> = {
  text: [...texts, 'uuid'],
  number: ['smallint', 'integer', 'bigint', 'numeric', 'real', 'double precision', ...texts],
  boolean: ['boolean'],
  instant: ['timestamp with time zone', 'timestamp without time zone', ...texts],
  date: ['date', 'timestamp with time zone', 'timestamp without time zone', ...texts],
  list: ['text[]', 'character varying[]', 'jsonb', 'json'],
  json: ['jsonb', 'json'],
};

/** Whether a column of an existing table can hold the values of a field. @returns the types that could, if not */
export function unfitColumn(
  field: Pick<MappedColumn, 'fieldType' | 'valueType'>,
  column: { type: string; isEnum: boolean },
): readonly string[] | null {
  const kind = kindOf(field);
  const bare = column.type.replace(/\(.*?\)/, '');
  if (takenBy[kind].includes(bare) || (kind === 'text' && column.isEnum)) return null;
  return takenBy[kind];
}

/** A field as it is stored with its column. */
export function fieldOf(
  field: FieldSchema,
): Pick<MappedColumn, 'fieldId' | 'fieldName' | 'fieldType' | 'valueType' | 'computed'> {
  return {
    fieldId: field.id,
    fieldName: field.name,
    fieldType: field.type,
    valueType: field.valueType,
    computed: field.computed,
  };
}

const isoInstant = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;
const isoDate = /^\d{4}-\d\d-\d\d/;

/**
 * A cell as JSON that PostgreSQL reads into the column: empty ones as the type wants it (null, false, an empty list), and
 * null for what the type can not say, such as a computation that failed.
 */
export function columnValue(column: MappedColumn, cell: unknown): unknown {
  const kind = kindOf(column);
  const value = cell ?? emptyOf(column);
  if (value === null) return null;
  switch (kind) {
    case 'text':
      return typeof value === 'string' ? value : column.computed ? textOf(value) : null;
    case 'number':
      return typeof value === 'number' && Number.isFinite(value) ? value : null;
    case 'boolean':
      return typeof value === 'boolean'
        ? value
        : column.computed && typeof value === 'number'
          ? value !== 0
          : null;
    case 'instant':
      return typeof value === 'string' && isoInstant.test(value) ? value : null;
    case 'date':
      return typeof value === 'string' ? (isoDate.exec(value)?.[0] ?? null) : null;
    case 'list':
      return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : null;
    case 'json':
      return value;
  }
}

function emptyOf({ fieldType, valueType }: MappedColumn): null | false | [] {
  return emptyCell(fieldType === 'multipleLookupValues' ? fieldType : valueType);
}

/** A formula may give another type than it says for some records. Failed ones say nothing. */
function textOf(value: unknown): string | null {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return value.filter((item) => typeof item !== 'object').join(', ') || null;
  return isObject(value) && typeof value.name === 'string' ? value.name : null;
}

/** The values of a record for its columns, in their order, as one text that is equal exactly for equal values. */
export function projectionOf(
  columns: readonly MappedColumn[],
  cells: Readonly<Record<string, unknown>>,
): string {
  return jsonText(columns.map((column) => sorted(columnValue(column, cells[column.fieldId]))));
}

/** Addresses of attachments are made anew with each answer, and end after hours. */
export const passingOfAttachments: readonly string[] = ['url', 'thumbnails'];

/** With the keys of objects in one order, since theirs means nothing, and without what differs from answer to answer. */
export function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const isAttachment = typeof value.id === 'string' && value.id.startsWith('att');
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !isAttachment || !passingOfAttachments.includes(key))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

/** Whether two records hold the same cells, whatever the order of keys. */
export function sameCells(
  a: Readonly<Record<string, unknown>>,
  b: Readonly<Record<string, unknown>>,
): boolean {
  return jsonText(sorted(a)) === jsonText(sorted(b));
}
