import type { TableSchema } from '../bases/table-schema.ts';

/** Which cells are known or wanted, by field id. */
export type FieldSet = 'all' | ReadonlySet<string>;

export const noFields: FieldSet = new Set();

/** Whether everything in `wanted` is in `known`. */
export function covers(known: FieldSet, wanted: FieldSet): boolean {
  if (known === wanted || known === 'all') return true;
  if (wanted === 'all') return false;
  for (const fieldId of wanted) if (!known.has(fieldId)) return false;
  return true;
}

export function unite(a: FieldSet, b: FieldSet): FieldSet {
  if (covers(a, b)) return a;
  if (a === 'all' || b === 'all') return 'all';
  return new Set([...a, ...b]);
}

/**
 * The fields as the upstream wants them listed; undefined means all. An empty list would mean all as well, so that a
 * caller who needs no cell at all asks for the primary field.
 */
export function fieldsToAsk(fields: FieldSet, table: TableSchema): string[] | undefined {
  if (fields === 'all' || fields.size >= table.fields.length) return undefined;
  if (fields.size === 0) return [table.primaryFieldId];
  return table.fields.filter((field) => fields.has(field.id)).map((field) => field.id);
}
