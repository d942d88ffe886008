import type { EntityManager } from 'typeorm';
import { isObject } from '../../calendly/cell-values.ts';
import { refusalOf, type RowRefusal } from './row-refusal.ts';
import type { Sync } from '../sync.ts';
import { misfitOf, sqlState } from './target-table.ts';

/** The target took fewer rows than it was given, without an error. */
export class RowsKeptOut extends Error {
  constructor() {
    super('A trigger of the table keeps the row out.');
  }
}

/** How often rows that are refused are tried one by one. */
const maxRounds = 8;

/**
 * Tries all at once and, where the target refuses, one by one. Who is refused is tried again as long as others get through,
 * since a value may be handed over, or a row be there that this one names. From the other end each time: so the worst
 * order takes two rounds.
 * @param run must have no effect but on the database; gets what was done before
 */
export async function guarded<Row extends { recordId: string }, T>(
  sql: EntityManager,
  sync: Sync,
  rows: readonly Row[],
  run: (rows: readonly Row[], done: readonly T[]) => Promise<T>,
): Promise<{ done: T[]; refused: RowRefusal[] }> {
  if (rows.length === 0) return { done: [], refused: [] };
  const done: T[] = [];
  const attempt = async (some: readonly Row[]): Promise<{ value: T } | { error: unknown }> => {
    await sql.query('SAVEPOINT some_rows');
    try {
      const value = await run(some, done);
      await sql.query('RELEASE SAVEPOINT some_rows');
      return { value };
    } catch (error) {
      if (isPassing(error)) throw error;
      await sql.query('ROLLBACK TO SAVEPOINT some_rows');
      if (await isMisfit(sql, sync, error)) throw error;
      return { error };
    }
  };
  const together = rows.length > 1 ? await attempt(rows) : null;
  if (together && 'value' in together) return { done: [together.value], refused: [] };
  let left: { row: Row; error: unknown }[] = rows.map((row) => ({ row, error: null }));
  for (
    let round = 1, before = Infinity;
    round <= maxRounds && left.length > 0 && left.length < before;
    round += 1
  ) {
    before = left.length;
    const again: typeof left = [];
    for (const { row } of left) {
      const alone = await attempt([row]);
      if ('value' in alone) done.push(alone.value);
      else again.unshift({ row, error: alone.error });
    }
    left = again;
  }
  const refused: RowRefusal[] = [];
  for (const { row, error } of left) refused.push(await refusalOf(sql, sync, row, error));
  return { done, refused };
}

/**
 * States that say nothing of the row: connection, transaction, deadlock, resources, shutdown, cancelled, input and output,
 * defects; locked.
 */
const passingStates = /^(08|25|40|53|57|58|XX|55P03)/;

/** Everything else that is no error of the database is a defect of ours. */
function isPassing(error: unknown): boolean {
  if (error instanceof RowsKeptOut) return false;
  const state = sqlState(error);
  return state === null || passingStates.test(state);
}

/** Whether the target is not what it was, rather than that it refuses this row: what its triggers do is its own affair. */
async function isMisfit(sql: EntityManager, sync: Sync, error: unknown): Promise<boolean> {
  if (misfitOf(error) === null || isOfTrigger(error)) return false;
  if (sqlState(error) !== '42501') return true;
  // Policies for rows refuse with the state of a missing right.
  const [may] = await sql.query<{ write: boolean }[]>(
    `SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'DELETE')
        AND has_any_column_privilege(c.oid, 'INSERT') AND has_any_column_privilege(c.oid, 'UPDATE') AS write
     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
    [sync.targetSchema, sync.targetTable],
  );
  return may?.write !== true;
}

/** PostgreSQL tells the function in which something failed; our statements call none. */
function isOfTrigger(error: unknown): boolean {
  const driver: unknown = error instanceof Error && 'driverError' in error ? error.driverError : error;
  return isObject(driver) && typeof driver['where'] === 'string' && driver['where'].includes('function');
}
