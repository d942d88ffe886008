import { isObject } from '../../calendly/cell-values.ts';
import { sorted } from './column-types.ts';
import { isSent, rowCell } from './row-cells.ts';
import type { MappedColumn } from '../sync.ts';

/**
 * Whether two cells of a field hold the same value, however they are written: empty ones are alike, times are compared as
 * moments, people by their id (or, where one of the two has none, by their address), attachments without their addresses,
 * which are made anew with each answer.
 */
export function sameCell(
  column: Pick<MappedColumn, 'fieldType' | 'computed'>,
  a: unknown,
  b: unknown,
): boolean {
  if (a === b) return true;
  const [one, other] = [plain(column, a), plain(column, b)];
  if (Array.isArray(one) && Array.isArray(other) && column.fieldType === 'multipleCollaborators')
    return one.length === other.length && one.every((person, index) => samePerson(person, other[index]));
  if (column.fieldType === 'singleCollaborator' && samePerson(one, other)) return true;
  return JSON.stringify(one) === JSON.stringify(other);
}

/** The same of a field by its id. Of one that is no longer mapped only the exact value tells. */
export function sameFieldCell(
  columns: readonly MappedColumn[],
  fieldId: string,
  a: unknown,
  b: unknown,
): boolean {
  const column = columns.find((one) => one.fieldId === fieldId);
  return column ? sameCell(column, a, b) : JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
}

function plain(column: Pick<MappedColumn, 'fieldType' | 'computed'>, cell: unknown): unknown {
  if (cell === null || cell === undefined || cell === '' || cell === false) return null;
  if (Array.isArray(cell) && cell.length === 0) return null;
  // People keep both id and address, since either may be what the other side has.
  if (isPersonal(column.fieldType)) return cell;
  if (isSent(column)) {
    const read = rowCell(column, cell);
    if ('cell' in read) return read.cell;
  }
  return sorted(cell);
}

function isPersonal(fieldType: string): boolean {
  return fieldType === 'singleCollaborator' || fieldType === 'multipleCollaborators';
}

function samePerson(a: unknown, b: unknown): boolean {
  const [one, other] = [personOf(a), personOf(b)];
  if (one === null || other === null) return one === other;
  if (one.id !== undefined && other.id !== undefined) return one.id === other.id;
  return one.email !== undefined && one.email === other.email;
}

function personOf(cell: unknown): { id?: string; email?: string } | null {
  if (!isObject(cell)) return null;
  return {
    ...(typeof cell.id === 'string' ? { id: cell.id } : {}),
    ...(typeof cell.email === 'string' ? { email: cell.email.toLowerCase() } : {}),
  };
}
