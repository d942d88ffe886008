import type { FieldSchema } from '../../bases/table-schema.ts';
import { filterKindOf } from '../filters/filter-kind.ts';
import { choicesOf } from './choice-order.ts';
import { isCreationTime } from './field-shapes.ts';
import { cellOf, textOf, type StatementValues } from './statement.ts';

export interface SortField {
  field: FieldSchema;
  direction: 'asc' | 'desc';
}

/** The cell that a record is sorted by, as JSON, of a select the id of its choice; null when it is empty. */
export type SortCell = string | number | boolean | null;

/** A place behind a record of a listing: what it is sorted by, and then when it was created, in milliseconds, and its id. */
export interface CopyPlace {
  cells: readonly SortCell[];
  createdAt: number;
  id: string;
}

/**
 * Whether the upstream documents in which order it puts the cells: numbers and dates by what they are, checked behind
 * unchecked, single selects by the order of their choices. Of texts, and of all that is sorted as one, nothing is said.
 */
export function isOrderDocumented(field: FieldSchema): boolean {
  switch (filterKindOf(field)) {
    case 'number':
    case 'day':
    case 'instant':
    case 'checkbox':
      return true;
    case 'choice':
      return choicesOf(field) !== null;
    default:
      return false;
  }
}

/**
 * Empty cells come first ascending and last descending. Equal ones keep an underlying order, which the upstream leaves open:
 * here it is that of creation, so that each record has one place.
 */
export function orderBy(sort: readonly SortField[], values: StatementValues): string {
  const keys = sort.map(({ field, direction }) => {
    const key = sortKey({ field, direction }, values);
    return direction === 'asc' ? `${key} ASC NULLS FIRST` : `${key} DESC NULLS LAST`;
  });
  return [...keys, 'record.created_time', 'record.record_id'].join(', ');
}

/** Holds for the records that come behind a place. */
export function behind(place: CopyPlace, sort: readonly SortField[], values: StatementValues): string {
  const createdTime = values.add(new Date(place.createdAt).toISOString(), 'timestamptz');
  const last = `(record.created_time, record.record_id) > (${createdTime}, ${values.add(place.id, 'text')})`;
  return sort.reduceRight((rest, { field, direction }, index) => {
    const key = sortKey({ field, direction }, values);
    const cell = place.cells[index] ?? null;
    if (filterKindOf(field) === 'choice') {
      const at = values.add(cell === null ? emptyPosition : positionOf(field, cell), 'integer');
      return `(${key} ${direction === 'asc' ? '>' : '<'} ${at} OR (${key} = ${at} AND ${rest}))`;
    }
    if (cell === null)
      return direction === 'asc' ? `(${key} IS NOT NULL OR ${rest})` : `(${key} IS NULL AND ${rest})`;
    const at = placedAt(field, cell, values);
    const further = direction === 'asc' ? `${key} > ${at}` : `(${key} < ${at} OR ${key} IS NULL)`;
    return `(${further} OR (${key} = ${at} AND ${rest}))`;
  }, last);
}

/** The cell as `CopyPlace` keeps it, out of the cells of a record. */
export function sortCell(field: FieldSchema, cells: Readonly<Record<string, unknown>>): SortCell {
  const cell = cells[field.id];
  if (filterKindOf(field) === 'choice')
    return choicesOf(field)?.find(({ name }) => name === cell)?.id ?? null;
  return typeof cell === 'string' || typeof cell === 'number' || cell === true ? cell : null;
}

/** Whether a record has a choice that the field is not known to have, and so no known place in an order. */
export function hasUnknownChoice(
  sort: readonly SortField[],
  cells: Readonly<Record<string, unknown>>,
): boolean {
  return sort.some(({ field }) => {
    const cell = cells[field.id];
    return (
      filterKindOf(field) === 'choice' &&
      cell !== undefined &&
      !choicesOf(field)?.some(({ name }) => name === cell)
    );
  });
}

/** Where empty cells stand among the choices, which are counted from the next number on. */
const emptyPosition = 0;

function sortKey({ field, direction }: SortField, values: StatementValues): string {
  if (isCreationTime(field)) return 'record.created_time';
  switch (filterKindOf(field)) {
    case 'number':
      return `(${cellOf(field.id)})`;
    case 'checkbox':
      return `nullif(${cellOf(field.id)}, 'false'::jsonb)`;
    case 'choice':
      return choiceKey({ field, direction }, values);
    default:
      return `(${textOf(field.id)}) COLLATE "C"`;
  }
}

function placedAt(field: FieldSchema, cell: SortCell, values: StatementValues): string {
  if (isCreationTime(field)) return values.add(cell, 'timestamptz');
  switch (filterKindOf(field)) {
    case 'number':
    case 'checkbox':
      return values.add(JSON.stringify(cell), 'jsonb');
    default:
      return values.add(cell, 'text');
  }
}

/** A choice that is not known comes first, either way: so a page that it may belong to has it, and shows that it is there. */
function choiceKey({ field, direction }: SortField, values: StatementValues): string {
  const names = choicesOf(field)?.map(({ name }) => name) ?? [];
  const unknown = direction === 'asc' ? emptyPosition - 1 : names.length + 1;
  const position = `array_position(${values.add(names, 'text[]')}, ${textOf(field.id)})`;
  return `CASE WHEN ${cellOf(field.id)} IS NULL THEN ${emptyPosition} ELSE coalesce(${position}, ${unknown}) END`;
}

/** @param id of one of its choices, see `isPlaceIn` */
function positionOf(field: FieldSchema, id: SortCell): number {
  return (choicesOf(field)?.findIndex((choice) => choice.id === id) ?? 0) + 1;
}

/** Whether a place that a caller brought can be one of this order: its cells get into a statement as what they pass for. */
export function isPlaceIn(sort: readonly SortField[], { cells }: CopyPlace): boolean {
  return sort.every(({ field }, index) => isCellOf(field, cells[index] ?? null));
}

/** The years 1 to 9999, in milliseconds since the epoch: others have other spellings, or none in PostgreSQL. */
export const minTime = -62_135_596_800_000;
export const maxTime = 253_402_300_799_999;
const timePattern = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d\.\d{3}Z)?$/;

function isCellOf(field: FieldSchema, cell: SortCell): boolean {
  if (cell === null) return !isCreationTime(field);
  switch (filterKindOf(field)) {
    case 'number':
      return typeof cell === 'number';
    case 'checkbox':
      return cell === true;
    case 'choice':
      return typeof cell === 'string' && (choicesOf(field) ?? []).some((choice) => choice.id === cell);
    default:
      return typeof cell === 'string' && timePattern.test(cell) && isTime(cell);
  }
}

/** Days that no month has are read by JavaScript as days of the next. */
function isTime(text: string): boolean {
  const at = Date.parse(text);
  return at >= minTime && at <= maxTime && new Date(at).toISOString().startsWith(text);
}
