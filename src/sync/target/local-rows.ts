import type { EntityManager } from 'typeorm';
import { quoted, quotedTable } from './identifiers.ts';
import { rowCell, isSent } from '../values/row-cells.ts';
import type { Cells } from '../values/row-writes.ts';
import { sameCell } from '../values/same-cell.ts';
import { columnValue } from '../values/column-types.ts';
import type { MappedColumn, Sync } from '../sync.ts';

/** A row of the target, its columns as `to_jsonb` writes them. */
export type TargetRow = Readonly<Record<string, unknown>>;

/** As one text, to find a row by in a map. */
export function keyText(key: readonly string[]): string {
  return JSON.stringify(key);
}

/**
 * The rows with these keys that are there, by the text of their key.
 * @param lock takes them for writing, and leaves out those that others are writing to: who waits for a row while holding
 *   others could make the transaction of somebody else fail
 */
export async function readRows(
  sql: Pick<EntityManager, 'query'>,
  sync: Pick<Sync, 'targetSchema' | 'targetTable' | 'keyColumns' | 'keyTypes'>,
  keys: readonly (readonly string[])[],
  { lock }: { lock: boolean },
): Promise<Map<string, TargetRow>> {
  if (keys.length === 0) return new Map();
  const match = sync.keyColumns
    .map((column, index) => `t.${quoted(column)} = (k.key ->> ${index})::${sync.keyTypes[index] ?? 'text'}`)
    .join(' AND ');
  const rows = await sql.query<{ place: string; row: TargetRow }[]>(
    `SELECT k.place, to_jsonb(t) AS row
     FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS k(key, place) JOIN ${quotedTable(sync)} AS t ON ${match}
     ${lock ? 'FOR NO KEY UPDATE OF t SKIP LOCKED' : ''}`,
    [JSON.stringify(keys)],
  );
  return new Map(rows.map(({ place, row }) => [keyText(keys[Number(place) - 1] ?? []), row]));
}

/** A row as cells, by field id. */
export interface LocalCells {
  cells: Cells;
  /** Columns whose value is no cell of their field, and why. */
  faults: { column: MappedColumn; message: string }[];
}

/**
 * What a row says, next to what is known of its record. A column that holds exactly what its field's cell becomes there
 * says that cell, though it may not be able to say all of it; so reading back what was written is never a change.
 */
export function localCells(columns: readonly MappedColumn[], row: TargetRow, known: Cells): LocalCells {
  const cells: Record<string, unknown> = {};
  const faults: LocalCells['faults'] = [];
  for (const column of columns) {
    const value = row[column.column] ?? null;
    const cell = known[column.fieldId] ?? null;
    if (isSameValue(column, value, columnValue(column, cell))) {
      if (cell !== null) cells[column.fieldId] = cell;
      continue;
    }
    // What is never sent is never a change of ours.
    if (!isSent(column)) {
      cells[column.fieldId] = value;
      continue;
    }
    const read = rowCell(column, value);
    if ('fault' in read) {
      faults.push({ column, message: `The column ${JSON.stringify(column.column)} ${read.fault}.` });
      cells[column.fieldId] = value;
    } else if (read.cell !== null) {
      cells[column.fieldId] = sameCell(column, read.cell, cell) ? cell : read.cell;
    }
  }
  return { cells, faults };
}

function isSameValue(column: MappedColumn, value: unknown, projected: unknown): boolean {
  if (value === null || projected === null) return value === projected;
  if (JSON.stringify(value) === JSON.stringify(projected)) return true;
  // jsonb keeps the keys of objects in an order of its own, and numbers and times come in more than one spelling.
  return sameCell(column, value, projected);
}
