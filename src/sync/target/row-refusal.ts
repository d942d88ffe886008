import type { EntityManager } from 'typeorm';
import { isObject } from '../../calendly/cell-values.ts';
import { jsonText } from '../../changes/json-text.ts';
import { columnValue } from '../values/column-types.ts';
import { livingColumns, targetName, type Sync } from '../sync.ts';
import { sqlState } from './target-table.ts';

/** Why the target did not take, or give up, the row of one record. */
export interface RowRefusal {
  recordId: string;
  /** PostgreSQL's SQLSTATE. */
  code: string;
  message: string;
  column: string | null;
  constraint: string | null;
  /** Of a row that should be gone; null where a row should be written. */
  rowKey: string[] | null;
}

/** Longest message of the database that is kept, in characters. */
const maxMessageCharacters = 500;

/** What the database said of one row, with the column found out where it did not name it. */
export async function refusalOf(
  sql: EntityManager,
  sync: Sync,
  row: { recordId: string; cells?: Readonly<Record<string, unknown>> },
  error: unknown,
): Promise<RowRefusal> {
  const driver: unknown = error instanceof Error && 'driverError' in error ? error.driverError : error;
  const said = isObject(driver) ? driver : {};
  const text = (key: string) => (typeof said[key] === 'string' ? said[key] : null);
  const constraint = text('constraint');
  const column =
    text('column') ?? (constraint === null && row.cells ? await unfitColumnOf(sql, sync, row.cells) : null);
  const reason = error instanceof Error ? error.message : String(error);
  const place = column === null ? '' : ` (column ${JSON.stringify(column)})`;
  return {
    recordId: row.recordId,
    code: sqlState(error) ?? 'P0001',
    message: `${targetName(sync)} refused the row${place}: ${reason}`.slice(0, maxMessageCharacters),
    column,
    constraint,
    rowKey: null,
  };
}

/** The first column that can not hold its value; null when each can. */
async function unfitColumnOf(
  sql: EntityManager,
  sync: Sync,
  cells: Readonly<Record<string, unknown>>,
): Promise<string | null> {
  for (const column of livingColumns(sync)) {
    const value = columnValue(column, cells[column.fieldId]);
    if (value === null) continue;
    await sql.query('SAVEPOINT one_value');
    try {
      await sql.query(`SELECT src.v FROM jsonb_to_record($1::jsonb) AS src(v ${column.columnType})`, [
        jsonText({ v: value }),
      ]);
      await sql.query('RELEASE SAVEPOINT one_value');
    } catch {
      await sql.query('ROLLBACK TO SAVEPOINT one_value');
      return column.column;
    }
  }
  return null;
}
