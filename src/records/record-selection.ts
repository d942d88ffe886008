import type { BaseSchema } from '../bases/base-schema.ts';
import type { TableSchema } from '../bases/table-schema.ts';
import { unite, type FieldSet } from './field-set.ts';

/** What a document asks of records at one place. Fields are spelled as the caller did, by id or name. */
export interface RecordSelection {
  names: 'all' | ReadonlySet<string>;
  /** Records behind link fields, and what is asked of them. */
  links: readonly { field: string; selection: RecordSelection }[];
  /** Whether more is asked than a link to the record tells: its id and table. */
  needsRecord: boolean;
}

export const selectsAll: RecordSelection = { names: 'all', links: [], needsRecord: true };

/** The field names to check a schema for. */
export function namesIn(selection: RecordSelection): Iterable<string> {
  return selection.names === 'all' ? [] : selection.names;
}

/** The cells that are needed. Names that the table does not have are left to the place that asked for them. */
export function fieldSetOf(selection: RecordSelection, table: TableSchema): FieldSet {
  if (selection.names === 'all') return 'all';
  const fields = new Set<string>();
  for (const name of selection.names) {
    const field = table.findField(name);
    if (field) fields.add(field.id);
  }
  return fields;
}

/**
 * The cells that lookups behind the links of `selection` will need, by table id, however deep. Knowing them before the
 * first call lets one call serve a table that is met again further down.
 */
export function fieldsBehindLinks(
  selection: RecordSelection,
  table: TableSchema,
  base: BaseSchema,
  needed = new Map<string, FieldSet>(),
): Map<string, FieldSet> {
  for (const link of selection.links) {
    const linkedTableId = table.findField(link.field)?.linkedTableId;
    const linked = linkedTableId == null ? null : base.findTable(linkedTableId);
    if (!linked || !link.selection.needsRecord) continue;
    needed.set(linked.id, unite(needed.get(linked.id) ?? new Set(), fieldSetOf(link.selection, linked)));
    fieldsBehindLinks(link.selection, linked, base, needed);
  }
  return needed;
}
