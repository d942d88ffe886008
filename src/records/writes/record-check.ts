import type { FieldSchema, TableSchema } from '../../bases/table-schema.ts';
import { requireId } from '../../calendly/ids.ts';
import { AppError, type ErrorCode } from '../../errors.ts';
import { addsChoice, cellFault } from './cell-check.ts';
import { FirstSeen } from './first-seen.ts';
import { mergeFaults } from './merge-fields.ts';
import type { WriteFault } from './write-result.ts';

/** Faults that one answer lists, and for which the nearest name is looked for; the rest is only counted. */
export const maxFaults = 100;

export interface RecordToWrite {
  /** Absent for creations. */
  id?: string | null;
  /** By field id or name. */
  fields: Record<string, unknown>;
}

/** One entry of the input as it can be sent, cells by field id, and what is wrong with it. */
export interface Checked<Item> {
  item: Item;
  faults: WriteFault[];
}

/** How the records of a write are to be understood. */
export interface WriteMode {
  typecast: boolean;
  /** Fields that an upsert matches by; absent for other writes. */
  mergeFields?: readonly FieldSchema[];
}

/**
 * Holds every record against the schema and against the others. What is found here fails alone; what only the upstream can
 * find fails a whole ten.
 */
export function checkRecords<Item extends RecordToWrite>(
  records: readonly Item[],
  table: TableSchema,
  mode: WriteMode,
): Checked<Item>[] {
  const ids = new FirstSeen();
  const keys = new FirstSeen();
  let faultsBefore = 0;
  return records.map((record, index) => {
    const path = ['records', String(index)];
    const { fields, faults } = checkCells(record, table, mode, [...path, 'fields'], faultsBefore);
    if (record.id != null) faults.push(...idFaults(record.id, index, ids, [...path, 'id']));
    else if (mode.mergeFields)
      faults.push(...mergeFaults(fields, mode.mergeFields, index, keys, [...path, 'fields']));
    faultsBefore += faults.length;
    return { item: { ...record, fields }, faults };
  });
}

/** The same for a write that names records only. */
export function checkIds(given: readonly string[]): Checked<string>[] {
  const ids = new FirstSeen();
  return given.map((item, index) => ({ item, faults: idFaults(item, index, ids, ['ids', String(index)]) }));
}

/** The error that a record with faults fails with. */
export function errorOf([first, ...more]: readonly WriteFault[]): AppError | null {
  if (!first) return null;
  const others = more.length === 0 ? '' : ` (and ${more.length} more: see "faults")`;
  return new AppError(first.code, first.message + others);
}

/** Whether a newer schema could see less faults. */
export function dependsOnSchema({ path }: WriteFault): boolean {
  return path[2] === 'fields';
}

function checkCells(
  record: RecordToWrite,
  table: TableSchema,
  mode: WriteMode,
  path: string[],
  faultsBefore: number,
): { fields: Record<string, unknown>; faults: WriteFault[] } {
  const fields: Record<string, unknown> = {};
  const faults: WriteFault[] = [];
  const isNew = record.id == null && !mode.mergeFields;
  for (const [name, value] of Object.entries(record.fields)) {
    const fault = (code: ErrorCode, message: string) =>
      faults.push({ path: [...path, name.slice(0, 100)], code, message });
    const suggests = faultsBefore + faults.length < maxFaults;
    const field = table.findField(name);
    if (!field) {
      const { code, message } = table.fieldNotFound(name, { suggests });
      fault(code, message);
      continue;
    }
    if (Object.hasOwn(fields, field.id)) {
      fault(
        'INVALID_INPUT',
        `The field ${JSON.stringify(field.name)} is given twice, by name and by id. Give it once.`,
      );
      continue;
    }
    fields[field.id] = value;
    const message = cellFault(field, value, { typecast: mode.typecast, isNew, suggests });
    if (message !== null) fault('INVALID_INPUT', message);
  }
  return { fields, faults };
}

function idFaults(id: string, index: number, seen: FirstSeen, path: string[]): WriteFault[] {
  try {
    requireId('rec', id);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return [{ path, code: error.code, message: error.message }];
  }
  const first = seen.at(id, index);
  if (first === index) return [];
  return [
    {
      path,
      code: 'INVALID_INPUT',
      message: `The record ${id} is given twice in one write (first as number ${first}). Give it once.`,
    },
  ];
}

/** Whether this write makes the upstream add choices to select fields. */
export function addsChoices(
  entries: readonly Checked<RecordToWrite | string>[],
  table: TableSchema,
): boolean {
  return entries.some(({ item }) => {
    if (typeof item === 'string') return false;
    return Object.entries(item.fields).some(([id, value]) => {
      const field = table.findField(id);
      return field !== null && addsChoice(field, value);
    });
  });
}
