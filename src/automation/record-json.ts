import { CellRow } from '../records/cell-row.ts';
import { problemsOf } from '../records/cell-values.ts';
import type { RecordNode } from '../records/record-node.ts';

/**
 * A record as actions tell it: cells by the names that were asked for, or all of them by the names of their fields. Empty
 * cells are there, by type; what cannot be read is null and told in `problems`.
 */
export function recordJson(record: RecordNode, names: readonly string[] | null): object {
  const { id, createdTime, table, cells } = record;
  if (!table) throw new Error('A record of the upstream has no table.');
  const known = table.fields.filter((field) => record.origin.knows(field.id));
  return {
    id,
    createdTime,
    fields: new CellRow(table, names).read(cells),
    problems: problemsOf(known, cells).map(({ field, code, message }) => ({
      field: field.name,
      code,
      message,
    })),
  };
}
