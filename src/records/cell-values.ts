import { isObject } from '../calendly/cell-values.ts';
import type { FieldSchema } from '../bases/table-schema.ts';
import { AppError } from '../errors.ts';

/** Of one record, by field id; empty ones are missing. */
export type Cells = Readonly<Record<string, unknown>>;

export const problemCodes = {
  CELL_ERROR: 'The formula, rollup or lookup of the cell failed.',
  NOT_A_NUMBER: 'The cell holds a number that JSON cannot carry, such as NaN or Infinity.',
} as const;
export type ProblemCode = keyof typeof problemCodes;

/** What keeps a cell from being read. Its value is then null. */
export interface FieldProblem {
  field: FieldSchema;
  code: ProblemCode;
  message: string;
}

/**
 * The value of a cell as callers get it: the upstream's own JSON, with empty cells filled in by type and unreadable ones
 * null. `problemsOf` tells about the latter.
 */
export function readCell(field: FieldSchema, cell: unknown): unknown {
  if (cell === undefined || cell === null) return field.empty;
  if (typeof cell !== 'object') return cell;
  if (!field.computed) return cell;
  if (!Array.isArray(cell)) return problemCode(cell) === null ? cell : null;
  return cell.some((item) => problemCode(item) !== null)
    ? cell.map((item: unknown) => (problemCode(item) === null ? item : null))
    : cell;
}

export function problemsOf(fields: Iterable<FieldSchema>, cells: Cells): FieldProblem[] {
  const problems: FieldProblem[] = [];
  for (const field of fields) {
    const cell = cells[field.id];
    if (!field.computed || typeof cell !== 'object' || cell === null) continue;
    for (const item of Array.isArray(cell) ? cell : [cell]) {
      const code = problemCode(item);
      if (code === null) continue;
      const told = isObject(item) ? String(item.error ?? item.specialValue).slice(0, 100) : '';
      problems.push({
        field,
        code,
        message: `${JSON.stringify(field.name)} reads as ${told}. ${problemCodes[code]}`,
      });
      break;
    }
  }
  return problems;
}

/** Failed computations come as `{error: "#ERROR!"}`, numbers that are none as `{specialValue: "NaN"}`. */
function problemCode(item: unknown): ProblemCode | null {
  if (!isObject(item)) return null;
  if (typeof item.error === 'string') return 'CELL_ERROR';
  return typeof item.specialValue === 'string' ? 'NOT_A_NUMBER' : null;
}

/** What a person would read in the cell; null when it is empty. */
export function readText(field: FieldSchema, cell: unknown): string | null {
  // Which most cells are.
  if (typeof cell === 'string') return cell || null;
  const value = readCell(field, cell);
  if (value === null || value === false) return null;
  return textOf(value) || null;
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value))
    return value
      .map(textOf)
      .filter((part) => part !== '')
      .join(', ');
  if (typeof value === 'string') return value;
  if (!isObject(value)) return JSON.stringify(value) ?? '';
  // In this order: AI text, barcodes, attachments, buttons, collaborators.
  for (const key of ['value', 'text', 'filename', 'label', 'name', 'email', 'id']) {
    const part = value[key];
    if (typeof part === 'string' || typeof part === 'number') return String(part);
  }
  return '';
}

/** @throws AppError FIELD_TYPE_MISMATCH when the field holds no numbers */
export function readNumber(field: FieldSchema, cell: unknown): number | null {
  const value = readCell(field, cell);
  if (typeof value === 'number') return value;
  if (field.kind === 'number' || (isEmpty(value) && isOpen(field))) return null;
  throw mismatch(field, 'number');
}

/** @throws AppError FIELD_TYPE_MISMATCH when the field holds no dates */
export function readDate(field: FieldSchema, cell: unknown): Date | null {
  const value = readCell(field, cell);
  if (field.kind === 'date' || isOpen(field)) {
    if (isEmpty(value)) return null;
    const at = typeof value === 'string' && /^\d{4}-\d\d-\d\d/.test(value) ? new Date(value) : null;
    if (at && !Number.isNaN(at.getTime())) return at;
    if (field.kind === 'date') return null;
  }
  throw mismatch(field, 'date');
}

/** @throws AppError FIELD_TYPE_MISMATCH when the field is no checkbox */
export function readChecked(field: FieldSchema, cell: unknown): boolean {
  const value = readCell(field, cell);
  if (typeof value === 'boolean') return value;
  if (field.kind === 'checkbox' || (isEmpty(value) && isOpen(field))) return false;
  throw mismatch(field, 'checkbox');
}

/**
 * The ids of the linked records, in the order of the cell.
 * @throws AppError FIELD_TYPE_MISMATCH when the field is no link
 */
export function readLinks(field: FieldSchema, cell: unknown): readonly string[] {
  if (field.linkedTableId === null) throw mismatch(field, 'link');
  const value = readCell(field, cell);
  return Array.isArray(value) ? value.filter((id) => typeof id === 'string') : [];
}

function isEmpty(value: unknown): boolean {
  return value === null || value === false || (Array.isArray(value) && value.length === 0);
}

/** Whether the upstream leaves open what the cells of this field are. */
function isOpen(field: FieldSchema): boolean {
  return field.computed && field.valueType === field.type && field.kind === 'other';
}

export function mismatch(field: FieldSchema, wanted: string): AppError {
  return new AppError(
    'FIELD_TYPE_MISMATCH',
    `The field ${JSON.stringify(field.name)} of type ${field.type} cannot be read as a ${wanted}. Use "value" to get it as it is.`,
    { details: { field: field.name, type: field.type } },
  );
}
