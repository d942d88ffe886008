import type { FieldDoc, FieldType, TableDoc } from './documents.ts';

/** Types whose cells the service computes: writing one is refused. */
const COMPUTED_TYPES: ReadonlySet<FieldType> = new Set([
  'button',
  'autoNumber',
  'count',
  'createdTime',
  'lastModifiedTime',
  'createdBy',
  'lastModifiedBy',
  'formula',
  'rollup',
  'multipleLookupValues',
  'externalSyncSource',
  'aiText',
  'manualSort',
]);

export function isComputed(field: FieldDoc): boolean {
  return COMPUTED_TYPES.has(field.type);
}

/** Table documents are never changed in place, so what is derived from one stays true as long as it lives. */
const indexes = new WeakMap<TableDoc, Map<string, FieldDoc>>();

/** By id or by exact, case-sensitive name; an id wins over a name that looks like it. */
export function findField(table: TableDoc, nameOrId: string): FieldDoc | undefined {
  let index = indexes.get(table);
  if (index === undefined) {
    index = new Map();
    for (const field of table.fields) index.set(field.name, field);
    for (const field of table.fields) index.set(field.id, field);
    indexes.set(table, index);
  }
  return index.get(nameOrId);
}

/** The primary field, which every table has. */
export function primaryField(table: TableDoc): FieldDoc {
  const field = findField(table, table.primaryFieldId);
  if (field === undefined) throw new Error(`Table ${table.id} names a primary field that it does not have`);
  return field;
}
