import type { FieldDoc, RecordDoc, TableDoc } from '../bases/documents.ts';
import type { Cells } from './cells.ts';
import { plainText } from './rollup.ts';

export interface Sort {
  field: FieldDoc;
  direction: 'asc' | 'desc';
}

/** Null is an empty cell, which is less than anything. */
type SortKey = string | number | null;

const collator = new Intl.Collator('en');

/** Sorts by the keys in turn: empties first ascending and last descending; equal records keep their order. */
export function orderRecords(
  cells: Cells,
  table: TableDoc,
  records: RecordDoc[],
  sorts: Sort[],
): RecordDoc[] {
  const keyed = records.map((record) => ({
    record,
    keys: sorts.map(({ field }) => sortKey(cells, table, record, field)),
  }));
  keyed.sort((a, b) => {
    for (const [index, { direction }] of sorts.entries()) {
      const order = compare(a.keys[index] ?? null, b.keys[index] ?? null);
      if (order !== 0) return direction === 'asc' ? order : -order;
    }
    return 0;
  });
  return keyed.map(({ record }) => record);
}

function compare(a: SortKey, b: SortKey): number {
  if (a === b) return 0;
  if (a === null) return -1;
  if (b === null) return 1;
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return collator.compare(String(a), String(b));
}

function sortKey(cells: Cells, table: TableDoc, record: RecordDoc, field: FieldDoc): SortKey {
  if (field.type === 'multipleRecordLinks') return cells.linkedNames(record, field)?.join(', ') ?? null;
  const value = cells.read(table, record, field);
  if (value === undefined) return null;
  switch (field.type) {
    case 'singleSelect':
      return choicePosition(field, value);
    case 'multipleSelects':
      // One letter per choice keeps the order of choices when several are compared.
      return (value as unknown[])
        .map((name) => String.fromCharCode(0x4e00 + choicePosition(field, name)))
        .join('');
    case 'checkbox':
      return 1;
    default:
      return typeof value === 'number' ? value : plainText(value) || null;
  }
}

/** Selects sort by the order of their choices, not by name. */
function choicePosition(field: FieldDoc, name: unknown): number {
  return field.options?.choices?.findIndex((choice) => choice.name === name) ?? -1;
}
