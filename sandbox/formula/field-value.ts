import { DEFAULT_FORMULA_READINGS, type FormulaReadings } from './readings.ts';
import { FormulaFailure, type FormulaValue } from './value.ts';

const SEPARATOR = ', ';
/** Computed cells nest (a lookup of lookups), but not deeper than this. */
const MAX_NESTING = 8;

interface FieldLike {
  type: string;
  options?: unknown;
}

/**
 * What a field's cell is inside a formula.
 *
 * @param cell the cell as the record API shows it; for `multipleRecordLinks` the primary texts of the linked records
 *   instead of their ids; absent or null when empty
 */
export function fieldToFormulaValue(
  field: FieldLike,
  cell: unknown,
  readings: FormulaReadings = DEFAULT_FORMULA_READINGS,
): FormulaValue {
  if (field.type === 'checkbox') return cell === true ? 1 : 0;
  if (cell === undefined || cell === null || cell === '') return null;
  switch (field.type) {
    case 'date':
    case 'dateTime':
    case 'createdTime':
    case 'lastModifiedTime':
      return instant(cell);
    case 'multipleSelects':
    case 'multipleCollaborators':
      return joined(cell, readings);
    case 'multipleAttachments':
      return joined(cell, readings);
    case 'multipleRecordLinks':
      return readings.linksAreArrays ? loose(cell, readings, 0) : joined(cell, readings);
    case 'formula':
    case 'rollup':
    case 'multipleLookupValues':
      return computed(field, cell, readings);
    default:
      return loose(cell, readings, 0);
  }
}

/** A computed field says in `options.result` what its values are like; dates would otherwise pass for text. */
function computed(field: FieldLike, cell: unknown, readings: FormulaReadings): FormulaValue {
  const result = resultOf(field.options);
  const isArray = Array.isArray(cell);
  if (result === undefined || (isArray && cell.length === 0)) return loose(cell, readings, 0);
  if (!isArray)
    return isErrorCell(cell) ? loose(cell, readings, 0) : fieldToFormulaValue(result, cell, readings);
  return cell.map((item) =>
    isErrorCell(item) ? loose(item, readings, 0) : fieldToFormulaValue(result, item, readings),
  );
}

function resultOf(options: unknown): FieldLike | undefined {
  if (!isObject(options) || !isObject(options['result'])) return undefined;
  const { type, options: inner } = options['result'];
  return typeof type === 'string' ? { type, options: inner } : undefined;
}

function loose(cell: unknown, readings: FormulaReadings, depth: number): FormulaValue {
  if (cell === null || cell === undefined || cell === '') return null;
  if (typeof cell === 'string' || typeof cell === 'number') return cell;
  if (typeof cell === 'boolean') return cell ? 1 : 0;
  if (depth > MAX_NESTING) return new FormulaFailure('nested too deep');
  if (Array.isArray(cell))
    return cell.length === 0 ? null : cell.map((item) => loose(item, readings, depth + 1));
  return isObject(cell) ? objectCell(cell, readings) : null;
}

/** Collaborators, attachments, barcodes, buttons, AI text and the two wrappers of failed numbers. */
function objectCell(cell: Record<string, unknown>, readings: FormulaReadings): FormulaValue {
  if ('error' in cell) return new FormulaFailure('error cell');
  if ('specialValue' in cell) return Number(cell['specialValue']);
  const { filename, url } = cell;
  if (typeof filename === 'string')
    return readings.attachmentTextHasUrl ? `${filename} (${String(url)})` : filename;
  for (const key of ['name', 'email', 'text', 'label', 'value']) {
    const text = cell[key];
    if (typeof text === 'string' && text !== '') return text;
  }
  return null;
}

function joined(cell: unknown, readings: FormulaReadings): FormulaValue {
  const items = loose(cell, readings, 0);
  if (!Array.isArray(items)) return items;
  return items.filter((item) => typeof item === 'string' || typeof item === 'number').join(SEPARATOR);
}

function instant(cell: unknown): FormulaValue {
  if (isErrorCell(cell)) return new FormulaFailure('error cell');
  const date = new Date(String(cell));
  return Number.isNaN(date.getTime()) ? new FormulaFailure('not a date') : date;
}

function isErrorCell(cell: unknown): boolean {
  return isObject(cell) && ('error' in cell || 'specialValue' in cell);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
