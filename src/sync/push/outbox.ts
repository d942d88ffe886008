import type { EntityManager } from 'typeorm';
import type { Sync } from '../sync.ts';
import { keyText } from '../target/local-rows.ts';

/** Captured changes that are looked through in one go. */
const maxFolded = 1_000;

interface Captured {
  oldKey: string[] | null;
  newKey: string[] | null;
}

interface TouchedRow {
  key: string[];
  /** That a row is not there is no deletion unless one was captured. */
  isDeleted: boolean;
}

/**
 * Turns what was captured into what is pending, one item per record or new row, however often that was changed; and lets
 * records follow rows whose primary key has changed. In a transaction that holds the sync's row. What a row looks like is
 * read when its turn comes.
 * @returns whether there may be more
 */
export async function foldOutbox(sql: EntityManager, { id: syncId }: Pick<Sync, 'id'>): Promise<boolean> {
  const captured = await takeCaptured(sql, syncId);
  if (captured.length === 0) return false;
  // Changes of keys stand between the others in the order in which they were made.
  let touched: TouchedRow[] = [];
  for (const { oldKey, newKey } of captured) {
    if (oldKey === null && newKey === null) {
      await touchRows(sql, syncId, touched);
      touched = [];
      await touchEverything(sql, syncId);
    } else if (oldKey !== null && newKey !== null && !isSameKey(oldKey, newKey)) {
      await touchRows(sql, syncId, touched);
      touched = [];
      await follow(sql, syncId, oldKey, newKey);
      touched.push({ key: newKey, isDeleted: false });
    } else {
      touched.push({ key: newKey ?? oldKey ?? [], isDeleted: newKey === null });
    }
  }
  await touchRows(sql, syncId, touched);
  return captured.length === maxFolded;
}

/** Before anything is known of records: what was changed here so far is pending, and rows have the keys that they have now. */
export async function foldAll(sql: EntityManager, sync: Pick<Sync, 'id'>): Promise<void> {
  while (await foldOutbox(sql, sync));
}

/** Whether something was captured that has not been folded yet. */
export async function isOutboxFilled(sql: Pick<EntityManager, 'query'>, syncId: string): Promise<boolean> {
  const [row] = await sql.query<{ filled: boolean }[]>(
    'SELECT EXISTS (SELECT 1 FROM sync_outbox WHERE sync_id = $1) AS filled',
    [syncId],
  );
  return row?.filled === true;
}

/** Has rows looked at: by their record, or as new ones. One that was parked gets another chance. Of each the last counts. */
async function touchRows(
  sql: Pick<EntityManager, 'query'>,
  syncId: string,
  touched: readonly TouchedRow[],
): Promise<void> {
  if (touched.length === 0) return;
  const last = new Map(touched.map((row) => [keyText(row.key), row]));
  await sql.query(
    `WITH touched AS (
       SELECT ARRAY(SELECT jsonb_array_elements_text(t.key)) AS key, t."isDeleted" AS is_deleted
       FROM jsonb_to_recordset($2::jsonb) AS t(key jsonb, "isDeleted" boolean)
     ), found AS (
       SELECT t.key, t.is_deleted, r.record_id FROM touched AS t LEFT JOIN copied_records AS r ON r.sync_id = $1 AND r.row_key = t.key
     ), of_records AS (
       INSERT INTO sync_pending (sync_id, record_id, is_deleted)
       SELECT $1, record_id, is_deleted FROM found WHERE record_id IS NOT NULL ORDER BY record_id
       ON CONFLICT (sync_id, record_id) WHERE record_id IS NOT NULL
       DO UPDATE SET next_attempt_at = NULL, code = NULL, message = NULL, parked_at = NULL, is_deleted = excluded.is_deleted
     )
     INSERT INTO sync_pending (sync_id, row_key, is_deleted) SELECT $1, key, is_deleted FROM found WHERE record_id IS NULL ORDER BY key
     ON CONFLICT (sync_id, row_key) WHERE row_key IS NOT NULL
     DO UPDATE SET next_attempt_at = NULL, code = NULL, message = NULL, parked_at = NULL, is_deleted = excluded.is_deleted`,
    [syncId, JSON.stringify([...last.values()])],
  );
}

/**
 * Has records looked at again.
 * @param isDeleted whether their rows were seen being deleted; it stays known of those of which it is
 */
export async function touchRecords(
  sql: Pick<EntityManager, 'query'>,
  syncId: string,
  recordIds: readonly string[],
  { isDeleted = false }: { isDeleted?: boolean } = {},
): Promise<void> {
  if (recordIds.length === 0) return;
  await sql.query(
    `INSERT INTO sync_pending AS p (sync_id, record_id, is_deleted) SELECT DISTINCT $1::uuid, id, $3::boolean FROM unnest($2::text[]) AS id ORDER BY id
     ON CONFLICT (sync_id, record_id) WHERE record_id IS NOT NULL
     DO UPDATE SET next_attempt_at = NULL, code = NULL, message = NULL, parked_at = NULL, is_deleted = p.is_deleted OR excluded.is_deleted`,
    [syncId, recordIds, isDeleted],
  );
}

/** What is pending of a row is pending of the record that it has turned out to have. */
export async function passToRecord(
  sql: Pick<EntityManager, 'query'>,
  syncId: string,
  rowKey: readonly string[] | null,
  recordId: string,
): Promise<void> {
  const [rows] = await sql.query<[{ isDeleted: boolean }[], number]>(
    'DELETE FROM sync_pending WHERE sync_id = $1 AND row_key = $2 RETURNING is_deleted AS "isDeleted"',
    [syncId, rowKey],
  );
  await touchRecords(sql, syncId, [recordId], { isDeleted: rows.some(({ isDeleted }) => isDeleted) });
}

async function takeCaptured(sql: EntityManager, syncId: string): Promise<Captured[]> {
  return sql.query<Captured[]>(
    `WITH taken AS (
       DELETE FROM sync_outbox WHERE id IN (SELECT id FROM sync_outbox WHERE sync_id = $1 ORDER BY id LIMIT $2)
       RETURNING id, old_key, new_key
     )
     SELECT old_key AS "oldKey", new_key AS "newKey" FROM taken ORDER BY id`,
    [syncId, maxFolded],
  );
}

/** After TRUNCATE: every row was deleted, those included that are new and of which it is not known what became of them upstream. */
async function touchEverything(sql: EntityManager, syncId: string): Promise<void> {
  await sql.query(
    `INSERT INTO sync_pending (sync_id, record_id, is_deleted)
     SELECT sync_id, record_id, true FROM copied_records WHERE sync_id = $1 AND row_key IS NOT NULL ORDER BY record_id
     ON CONFLICT (sync_id, record_id) WHERE record_id IS NOT NULL
     DO UPDATE SET is_deleted = true, next_attempt_at = NULL, code = NULL, message = NULL, parked_at = NULL`,
    [syncId],
  );
  await sql.query(
    `INSERT INTO sync_pending (sync_id, row_key, is_deleted)
     SELECT sync_id, row_key, true FROM sync_writes WHERE sync_id = $1 AND kind = 'create' AND row_key IS NOT NULL
     UNION SELECT sync_id, row_key, true FROM sync_pending WHERE sync_id = $1 AND row_key IS NOT NULL ORDER BY row_key
     ON CONFLICT (sync_id, row_key) WHERE row_key IS NOT NULL
     DO UPDATE SET is_deleted = true, next_attempt_at = NULL, code = NULL, message = NULL, parked_at = NULL`,
    [syncId],
  );
}

/**
 * A row goes by another key from here on. A record that was known by that key before has lost its row: only one row can
 * have it.
 */
async function follow(sql: EntityManager, syncId: string, oldKey: string[], newKey: string[]): Promise<void> {
  await sql.query(
    `WITH evicted AS (
       UPDATE copied_records SET row_key = NULL WHERE sync_id = $1 AND row_key = $2 RETURNING sync_id, record_id
     )
     INSERT INTO sync_pending (sync_id, record_id, is_deleted) SELECT sync_id, record_id, true FROM evicted
     ON CONFLICT (sync_id, record_id) WHERE record_id IS NOT NULL
     DO UPDATE SET is_deleted = true, next_attempt_at = NULL, code = NULL, message = NULL, parked_at = NULL`,
    [syncId, newKey],
  );
  await sql.query('UPDATE copied_records SET row_key = $3 WHERE sync_id = $1 AND row_key = $2', [
    syncId,
    oldKey,
    newKey,
  ]);
  await sql.query(
    `UPDATE sync_writes SET row_key = $3 WHERE sync_id = $1 AND row_key = $2 AND kind = 'create'`,
    [syncId, oldKey, newKey],
  );
  await sql.query('DELETE FROM sync_pending WHERE sync_id = $1 AND row_key = $2', [syncId, oldKey]);
}

function isSameKey(a: readonly string[], b: readonly string[]): boolean {
  return a.every((part, index) => part === b[index]);
}
