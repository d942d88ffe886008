import type { DataSource } from 'typeorm';
import type { Sql } from '../../database/sql.ts';
import { AppError } from '../../errors.ts';
import { literal, quoted, quotedTable } from '../target/identifiers.ts';
import { waitingForLocks } from '../target/lock-wait.ts';
import type { Sync } from '../sync.ts';
import { sqlState } from '../target/target-table.ts';
import { isItsRow } from '../target/vanished-rows.ts';

/*
 * What is done to a target is captured by triggers that write the key of each changed row into sync_outbox, in the
 * transaction that changes it: so nothing is captured that is not committed, and nothing committed is missed. They run with
 * the rights of this server, take no lock that a sync holds, and do nothing once the sync is gone, or pulls: so they may stay
 * for a while where they can not be removed. Not captured is what is done with triggers switched off (session_replication_role, logical replication), or to a partition that is detached; a
 * reconcile finds that, and makes rows again that are gone.
 */

type Captured = Pick<Sync, 'id' | 'targetSchema' | 'targetTable' | 'keyColumns' | 'keyTypes'>;

/** How long making triggers waits for those who write to the target, in milliseconds. */
const lockWaitMs = 3_000;
/** How long removing a trigger that nobody needs any more does, in milliseconds: others wait behind it, and nobody waits for it. */
const strayLockWaitMs = 500;

const namePrefix = 'calendly_sync_';

function triggerNames(id: string): { rows: string; updates: string; emptied: string } {
  const name = namePrefix + id;
  return { rows: name, updates: `${name}_updates`, emptied: `${name}_emptied` };
}

/**
 * In the caller's transaction. Repeating it does no harm.
 * @throws AppError INVALID_INPUT when the table can not have triggers, its key is none to follow rows by, or it is locked
 */
export async function installCapture(sql: Sql, sync: Captured): Promise<void> {
  requireSteadyKey(sync);
  const table = quotedTable(sync);
  const { rows, updates, emptied } = triggerNames(sync.id);
  const call = `EXECUTE FUNCTION sync_capture(${[sync.id, ...sync.keyColumns].map(literal).join(', ')})`;
  await changing(sql, sync, [
    ...dropping(sync),
    `CREATE TRIGGER ${quoted(rows)} AFTER INSERT OR DELETE ON ${table} FOR EACH ROW ${call}`,
    // Compared byte by byte, since some types have no other equality.
    `CREATE TRIGGER ${quoted(updates)} AFTER UPDATE ON ${table} FOR EACH ROW WHEN (OLD OPERATOR(pg_catalog.*<>) NEW) ${call}`,
    `CREATE TRIGGER ${quoted(emptied)} AFTER TRUNCATE ON ${table} FOR EACH STATEMENT ${call}`,
  ]);
}

/**
 * Captures changes from here on, and has all rows looked at that are there already, in the caller's transaction.
 * @throws as `installCapture`
 */
export async function beginCapture(sql: Sql, sync: Captured): Promise<void> {
  await installCapture(sql, sync);
  await captureAll(sql, sync);
}

/** Types of keys whose text depends on who writes it, or on how it is written. */
const unsteadyTypes = /^(timestamp|time|interval|real|double|character\(|bytea|json|money)/;

function requireSteadyKey({ targetSchema, targetTable, keyColumns, keyTypes }: Captured): void {
  const place = keyTypes.findIndex((type) => unsteadyTypes.test(type));
  if (place < 0) return;
  throw new AppError(
    'INVALID_INPUT',
    `The primary key of ${targetSchema}.${targetTable} has the column ${JSON.stringify(keyColumns[place])} of type ${keyTypes[place]}, by which rows can not be followed. Take a table with a key of integers, texts, dates or UUIDs, or the direction PULL.`,
  );
}

/** What keeps triggers from being removed for now: only the owner of a table may do that, and only while nobody uses it. */
const notNow: readonly (string | null)[] = ['42501', '55P03'];

/**
 * In the caller's transaction; also where the table, or the triggers, are gone. Triggers that can not be removed now stay,
 * and are removed with those of syncs that are gone. To be called only where they do nothing from here on.
 */
export async function removeCapture(
  sql: Sql,
  sync: Omit<Captured, 'keyColumns' | 'keyTypes'>,
): Promise<void> {
  await sql.query('SAVEPOINT capture');
  try {
    await dropTriggers(sql, sync);
    await sql.query('RELEASE SAVEPOINT capture');
  } catch (error) {
    if (!notNow.includes(sqlState(error))) throw error;
    await sql.query('ROLLBACK TO SAVEPOINT capture');
  }
}

async function dropTriggers(sql: Sql, sync: Omit<Captured, 'keyColumns' | 'keyTypes'>): Promise<void> {
  const [found] = await sql.query<{ exists: boolean }[]>('SELECT to_regclass($1) IS NOT NULL AS exists', [
    quotedTable(sync),
  ]);
  if (!found?.exists) return;
  await waitingForLocks(sql, lockWaitMs, async () => {
    for (const statement of dropping(sync)) await sql.query(statement);
  });
}

function dropping(sync: Omit<Captured, 'keyColumns' | 'keyTypes'>): string[] {
  return Object.values(triggerNames(sync.id)).map(
    (name) => `DROP TRIGGER IF EXISTS ${quoted(name)} ON ${quotedTable(sync)}`,
  );
}

/** Runs statements on the target, each of which may wait for those who write to it. */
async function changing(
  sql: Sql,
  sync: Pick<Sync, 'targetSchema' | 'targetTable'>,
  statements: readonly string[],
): Promise<void> {
  try {
    await waitingForLocks(sql, lockWaitMs, async () => {
      for (const statement of statements) await sql.query(statement);
    });
  } catch (error) {
    throw explained(error, sync);
  }
}

/**
 * In the caller's transaction, which holds the sync's row: nothing is captured any more, and what was and has not left
 * never leaves.
 */
export async function dropChanges(sql: Sql, sync: Captured): Promise<void> {
  await removeCapture(sql, sync);
  for (const table of ['sync_outbox', 'sync_pending'])
    await sql.query(`DELETE FROM ${table} WHERE sync_id = $1`, [sync.id]);
}

/** Whether all triggers of a sync are there: a table that was made anew has none. */
export async function isCaptured(sql: Sql, { id, ...sync }: Captured): Promise<boolean> {
  const names = Object.values(triggerNames(id));
  const [row] = await sql.query<{ count: number }[]>(
    `SELECT count(*)::int AS count FROM pg_trigger
     WHERE tgrelid = to_regclass($1) AND tgname = ANY($2) AND tgenabled <> 'D'`,
    [quotedTable(sync), names],
  );
  return row?.count === names.length;
}

/**
 * Sees to it that changes are captured, in a transaction that holds the sync's row. Triggers that are missing mean another
 * table of that name, or changes that nobody knows of: rows that are not there are made again rather than taken for deleted.
 */
export async function ensureCapture(sql: Sql, sync: Sync): Promise<void> {
  if (sync.direction === 'pull' || (await isCaptured(sql, sync))) return;
  await captureAnew(sql, sync);
}

/** The same where nothing was captured until now, though the triggers may be there. */
export async function captureAnew(sql: Sql, sync: Sync): Promise<void> {
  if (!(await isCaptured(sql, sync))) await installCapture(sql, sync);
  await sql.query(
    `UPDATE copied_records AS r SET row_key = NULL WHERE r.sync_id = $1 AND r.row_key IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM ${quotedTable(sync)} AS t WHERE ${isItsRow(sync)})`,
    [sync.id],
  );
  await sql.query('DELETE FROM sync_pending WHERE sync_id = $1 AND is_deleted', [sync.id]);
  await captureAll(sql, sync);
  await sql.query('UPDATE syncs SET rows_outdated = true WHERE id = $1', [sync.id]);
}

/** Has all rows looked at that are there already. */
export async function captureAll(sql: Sql, sync: Captured): Promise<void> {
  const key = sync.keyColumns.map((column) => `${quoted(column)}::text`).join(', ');
  await sql.query(
    `INSERT INTO sync_outbox (sync_id, new_key) SELECT $1, ARRAY[${key}] FROM ${quotedTable(sync)}`,
    [sync.id],
  );
}

/** Has rows looked at that are no record's: they were made unseen, or their record was deleted upstream. */
export async function captureAlone(sql: Sql, sync: Captured): Promise<void> {
  const key = sync.keyColumns.map((column) => `t.${quoted(column)}::text`).join(', ');
  await sql.query(
    `INSERT INTO sync_outbox (sync_id, new_key) SELECT $1, ARRAY[${key}] FROM ${quotedTable(sync)} AS t
     WHERE NOT EXISTS (SELECT 1 FROM copied_records AS r WHERE r.sync_id = $1 AND r.row_key = ARRAY[${key}])`,
    [sync.id],
  );
}

/**
 * Triggers of syncs that are gone, as after a connection was deleted, and what they still have captured. One at a time,
 * since dropping a trigger waits for everybody who uses the table, and whoever comes then waits behind that.
 * @param onFailure told of each that could not be removed; the others are
 */
export async function removeStrayCaptures(
  database: Pick<DataSource, 'query' | 'transaction'>,
  onFailure: (error: unknown, trigger: { table: string; name: string }) => void,
): Promise<void> {
  const strays = await database.query<{ schema: string; table: string; name: string }[]>(
    `SELECT n.nspname AS schema, c.relname AS table, t.tgname AS name
     FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE t.tgfoid = to_regproc('sync_capture') AND t.tgparentid = 0
       AND NOT EXISTS (SELECT 1 FROM syncs AS s WHERE s.direction <> 'pull' AND starts_with(t.tgname, $1 || s.id))`,
    [namePrefix],
  );
  for (const { schema, table, name } of strays)
    await database
      .transaction((sql) =>
        waitingForLocks(sql, strayLockWaitMs, () =>
          sql.query(`DROP TRIGGER IF EXISTS ${quoted(name)} ON ${quoted(schema)}.${quoted(table)}`),
        ),
      )
      .catch((error: unknown) => onFailure(error, { table: `${schema}.${table}`, name }));
  await database.query(
    'DELETE FROM sync_outbox AS o WHERE NOT EXISTS (SELECT 1 FROM syncs AS s WHERE s.id = o.sync_id)',
  );
}

function explained(
  error: unknown,
  { targetSchema, targetTable }: Pick<Sync, 'targetSchema' | 'targetTable'>,
): unknown {
  const name = `${targetSchema}.${targetTable}`;
  switch (sqlState(error)) {
    case '55P03':
      return new AppError(
        'INVALID_INPUT',
        `Somebody keeps ${name} locked, so its changes can not be followed now. Try again when no transaction writes to it.`,
        { cause: error },
      );
    case '42501':
      return new AppError(
        'INVALID_INPUT',
        `This server may not create triggers on ${name}, without which changes there can not be sent. Grant its role TRIGGER on the table, or take the direction PULL.`,
        { cause: error },
      );
    default:
      return error;
  }
}
