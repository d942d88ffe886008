import type { FieldDoc, RecordDoc, TableDoc } from '../bases/documents.ts';
import { findField } from '../bases/fields.ts';
import type { SandboxContext } from '../context.ts';

/** Records whose computed cells are compared after one edit; those beyond change silently. */
export const MAX_DEPENDANTS = 2_000;

/** A record some of whose cells are about to change, with all versions of it whose links count. */
export interface Origin {
  tableId: string;
  versions: RecordDoc[];
  fieldIds: Set<string>;
}

/**
 * The records, by id, that show values of the origins through lookups and rollups, over any number of steps. They are found
 * through the inverse of the link, so a one-way link leads nowhere.
 */
export function dependants(
  context: Pick<SandboxContext, 'bases' | 'records' | 'formulas'>,
  baseId: string,
  origins: Origin[],
): Map<string, RecordDoc> {
  const tables = context.bases.tables(baseId);
  const found = new Map<string, RecordDoc>();
  const seen = new Set<string>();
  const queue = [...origins];
  for (let origin = queue.shift(); origin !== undefined; origin = queue.shift()) {
    const table = tables.find(({ id }) => id === origin?.tableId);
    if (table === undefined) continue;
    const affected = withComputed(context, table, origin.fieldIds);
    for (const { toTable, field, inverseId } of readersOf(tables, table, affected)) {
      for (const recordId of new Set(
        origin.versions.flatMap((version) => (version.cells[inverseId] as string[]) ?? []),
      )) {
        const record = context.records.find(toTable.id, recordId);
        const key = `${recordId}/${field.id}`;
        if (record === undefined || seen.has(key) || found.size >= MAX_DEPENDANTS) continue;
        seen.add(key);
        found.set(recordId, record);
        queue.push({ tableId: toTable.id, versions: [record], fieldIds: new Set([field.id]) });
      }
    }
  }
  return found;
}

/** Lookups and rollups of any table that read one of `fieldIds` of `table`, and the link field here that leads to them. */
function* readersOf(
  tables: TableDoc[],
  table: TableDoc,
  fieldIds: Set<string>,
): IterableIterator<{ toTable: TableDoc; field: FieldDoc; inverseId: string }> {
  for (const toTable of tables) {
    for (const field of toTable.fields) {
      if (!fieldIds.has(field.options?.fieldIdInLinkedTable ?? '')) continue;
      const link = findField(toTable, field.options?.recordLinkFieldId ?? '')?.options;
      if (link?.linkedTableId !== table.id || link.inverseLinkFieldId === undefined) continue;
      yield { toTable, field, inverseId: link.inverseLinkFieldId };
    }
  }
}

/** The fields and all computed fields of the same table that build on them. */
function withComputed(
  context: Pick<SandboxContext, 'formulas'>,
  table: TableDoc,
  fieldIds: Set<string>,
): Set<string> {
  const all = new Set(fieldIds);
  for (let before = -1; before !== all.size;) {
    before = all.size;
    for (const field of table.fields) {
      if (!all.has(field.id) && sourcesOf(context, table, field).some((id) => all.has(id))) all.add(field.id);
    }
  }
  return all;
}

function sourcesOf(context: Pick<SandboxContext, 'formulas'>, table: TableDoc, field: FieldDoc): string[] {
  if (field.type === 'formula' && field.options?.formula !== undefined) {
    try {
      const { fieldReferences } = context.formulas.parse(field.options.formula);
      return fieldReferences.map((reference) => findField(table, reference)?.id ?? reference);
    } catch {
      return [];
    }
  }
  return field.options?.recordLinkFieldId === undefined ? [] : [field.options.recordLinkFieldId];
}
