import type { Sql } from '../../database/sql.ts';
import type { TableSchema } from '../../bases/table-schema.ts';
import { fieldOf, kindOf, ownColumnTypes, unfitColumn } from '../values/column-types.ts';
import { quoted, quotedTable } from './identifiers.ts';
import { waitingForLocks } from './lock-wait.ts';
import { targetName, type MappedColumn, type Sync } from '../sync.ts';
import {
  changedAtColumn,
  columnDefinition,
  freeColumnName,
  ownKey,
  readTargetShape,
  recordIdColumn,
  sqlState,
} from './target-table.ts';

export interface FollowedSchema {
  columns: MappedColumn[];
  /** In words, for people; null when all fields are there. */
  problem: string | null;
  /** Whether rows may have to be written anew. */
  rowsOutdated: boolean;
  /** Whether cells may have changed without the log telling of it. */
  cellsOutdated: boolean;
}

/**
 * Altering a table waits for everybody who uses it, and whoever comes then waits behind that: so only for so long, in
 * milliseconds.
 */
const lockWaitMs = 2_000;

/** Others use the table: it can not be altered at the moment. */
export class TargetBusy extends Error {}

/** The columns of a new table of ours, one for each field. */
export function ownColumns(table: TableSchema): MappedColumn[] {
  const taken = new Set([...ownKey.columns, recordIdColumn, changedAtColumn]);
  return table.fields.map((field) => {
    const column = freeColumnName(field.name, field.id, taken);
    taken.add(column);
    const stored = fieldOf(field);
    return { ...stored, column, columnType: ownColumnTypes[kindOf(stored)], goneAt: null };
  });
}

/**
 * Brings the columns in step with the fields of the upstream's table, in the caller's transaction. A table of ours gets and
 * renames columns; the column of a field that is gone, or has become one of another type, stays with all its values. To a
 * table that was there before, nothing is done.
 * @throws TargetBusy
 */
export function followSchema(sql: Sql, sync: Sync, table: TableSchema, now: Date): Promise<FollowedSchema> {
  return sync.owned ? followOwned(sql, sync, table, now) : Promise.resolve(followMapped(sync, table, now));
}

async function followOwned(sql: Sql, sync: Sync, table: TableSchema, now: Date): Promise<FollowedSchema> {
  const name = quotedTable(sync);
  const shape = await readTargetShape(sql, sync);
  const taken = new Set(shape?.columns.map((column) => column.name));
  const fields = new Map(table.fields.map((field) => [field.id, field]));
  let added = false;
  let retyped = false;
  const rename = async (from: string, wanted: string): Promise<string> => {
    taken.delete(from);
    const to = freeColumnName(wanted, from, taken);
    taken.add(to);
    if (to !== from) await alter(sql, `ALTER TABLE ${name} RENAME COLUMN ${quoted(from)} TO ${quoted(to)}`);
    return to;
  };

  const columns: MappedColumn[] = [];
  for (const column of sync.columns) {
    const field = fields.get(column.fieldId);
    if (column.goneAt !== null || !field) {
      columns.push({ ...column, goneAt: column.goneAt ?? now.toISOString() });
      continue;
    }
    const stored = fieldOf(field);
    if (ownColumnTypes[kindOf(stored)] === ownColumnTypes[kindOf(column)]) {
      const isRenamed = field.name !== column.fieldName;
      columns.push({
        ...column,
        ...stored,
        column: isRenamed ? await rename(column.column, field.name) : column.column,
      });
      retyped ||= field.type !== column.fieldType || field.valueType !== column.valueType;
    } else {
      const day = now.toISOString().slice(0, 10).replaceAll('-', '');
      columns.push({
        ...column,
        column: await rename(column.column, `${column.column}_until_${day}`),
        goneAt: now.toISOString(),
        keptAside: true,
      });
      retyped = true;
    }
  }
  for (const field of table.fields) {
    if (columns.some(({ fieldId, goneAt }) => fieldId === field.id && goneAt === null)) continue;
    const stored = fieldOf(field);
    const columnType = ownColumnTypes[kindOf(stored)];
    // A field whose deletion was undone finds its column as it was; not one that has become one of its old type again.
    const back = columns.find(
      (one) =>
        one.fieldId === field.id && one.keptAside !== true && ownColumnTypes[kindOf(one)] === columnType,
    );
    if (back) {
      const column = field.name === back.fieldName ? back.column : await rename(back.column, field.name);
      Object.assign(back, stored, { column, goneAt: null });
    } else {
      const column = {
        ...stored,
        column: freeColumnName(field.name, field.id, taken),
        columnType,
        goneAt: null,
      };
      taken.add(column.column);
      columns.push(column);
      await alter(sql, `ALTER TABLE ${name} ADD COLUMN ${columnDefinition(column)}`);
    }
    added = true;
    // What is computed is there at once, and the log does not tell of it.
    retyped ||= field.computed || back !== undefined;
  }
  return { columns, problem: null, rowsOutdated: added || retyped, cellsOutdated: retyped };
}

async function alter(sql: Sql, statement: string): Promise<void> {
  try {
    await waitingForLocks(sql, lockWaitMs, () => sql.query(statement));
  } catch (error) {
    throw sqlState(error) === '55P03' ? new TargetBusy() : error;
  }
}

function followMapped(sync: Sync, table: TableSchema, now: Date): FollowedSchema {
  const problems: string[] = [];
  let retyped = false;
  const columns = sync.columns.map((column): MappedColumn => {
    const field = table.findField(column.fieldId);
    const gone = (problem: string) => {
      problems.push(problem);
      return { ...column, goneAt: column.goneAt ?? now.toISOString() };
    };
    if (!field || field.id !== column.fieldId)
      return gone(`The field ${JSON.stringify(column.fieldName)} (${column.fieldId}) is gone.`);
    const stored = fieldOf(field);
    const fitting = unfitColumn(stored, { type: column.columnType, isEnum: false });
    const isOther = kindOf(stored) !== kindOf(column);
    if (isOther && fitting !== null)
      return gone(
        `The field ${JSON.stringify(field.name)} (${field.id}) has become one of the type ${field.type}, which ${targetName(sync)}.${column.column} (${column.columnType}) can not hold.`,
      );
    retyped ||= field.type !== column.fieldType || column.goneAt !== null;
    return { ...column, ...stored, goneAt: null };
  });
  return {
    columns,
    problem:
      problems.length === 0
        ? null
        : `${problems.join(' ')} Its column keeps what it has. Name the fields anew with "updateSync", or bring them back.`,
    rowsOutdated: retyped,
    cellsOutdated: retyped,
  };
}
