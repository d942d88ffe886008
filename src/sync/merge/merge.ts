import { columnValue } from '../values/column-types.ts';
import type { Cells } from '../values/row-writes.ts';
import { isSent } from '../values/row-cells.ts';
import { sameCell } from '../values/same-cell.ts';
import type { ConflictPolicy, MappedColumn } from '../sync.ts';

/** A cell that both sides have changed, to different values. */
export interface CellConflict {
  column: MappedColumn;
  calendly: unknown;
  omnera: unknown;
}

export interface Merge {
  /** Columns whose cells the row takes over from the upstream. */
  take: MappedColumn[];
  /** Columns in which the row goes on to differ: they are to be sent, unless they are on their way already. */
  keep: MappedColumn[];
  conflicts: CellConflict[];
}

/**
 * What becomes of one row by news of its record, cell by cell. `base` is what both sides held when they last agreed,
 * `local` what the row holds, `remote` what the upstream holds now. Who has not changed a cell takes the other's; where
 * both have changed it, and not to the same, the policy decides. Cells that are never sent are always the upstream's.
 * @param echoed cells by field id that the upstream has from here, as they were sent: they are no news, and win nothing
 */
export function merge(input: {
  columns: readonly MappedColumn[];
  base: Cells;
  local: Cells;
  remote: Cells;
  policy: ConflictPolicy;
  echoed?: Cells;
}): Merge {
  const { columns, base, local, remote, policy, echoed = {} } = input;
  const merged: Merge = { take: [], keep: [], conflicts: [] };
  for (const column of columns) {
    const id = column.fieldId;
    if (sameCell(column, local[id], remote[id])) {
      if (isNowSayable(column, local[id], remote[id])) merged.take.push(column);
      continue;
    }
    if (!isSent(column)) {
      merged.take.push(column);
    } else if (Object.hasOwn(echoed, id)) {
      // As the upstream wrote it in its own way, unless the row has been changed once more since.
      (sameCell(column, local[id], echoed[id]) ? merged.take : merged.keep).push(column);
    } else if (sameCell(column, base[id], remote[id])) {
      merged.keep.push(column);
    } else if (sameCell(column, base[id], local[id])) {
      merged.take.push(column);
    } else {
      merged.conflicts.push({ column, calendly: remote[id] ?? null, omnera: local[id] ?? null });
      (policy === 'calendly_wins' ? merged.take : merged.keep).push(column);
    }
  }
  return merged;
}

/** Whether the column can say the cell only as it is now: as when a field has become one of another type, and was read again. */
function isNowSayable(column: MappedColumn, before: unknown, now: unknown): boolean {
  const isEmpty = sameCell(column, now, null);
  return !isEmpty && columnValue(column, before) === null && columnValue(column, now) !== null;
}
