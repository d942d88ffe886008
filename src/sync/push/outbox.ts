import type { EntityManager } from 'typeorm';
import type { Sync } from '../sync.ts';

/** Captured changes that are looked through in one go. */
const maxFolded = 1_000;

interface Captured {
  oldKey: string[] | null;
  newKey: string[] | null;
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
  let touched: string[][] = [];
  for (const { oldKey, newKey } of captured) {
    if (oldKey === null && newKey === null) {
      await touchEverything(sql, syncId);
    } else if (oldKey !== null && newKey !== null && !isSameKey(oldKey, newKey)) {
      await touchRows(sql, syncId, touched);
      touched = [];
      await follow(sql, syncId, oldKey, newKey);
      touched.push(newKey);
    } else {
      touched.push(newKey ?? oldKey ?? []);
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

/** Has rows looked at: by their record, or as new ones. One that was parked gets another chance. */
export async function touchRows(
  sql: Pick<EntityManager, 'query'>,
  syncId: string,
  keys: readonly string[][],
): Promise<void> {
  if (keys.length === 0) return;
  await sql.query(
    `WITH touched AS (
       SELECT DISTINCT ARRAY(SELECT jsonb_array_elements_text(key)) AS key FROM jsonb_array_elements($2::jsonb) AS key
     ), found AS (
       SELECT t.key, r.record_id FROM touched AS t LEFT JOIN copied_records AS r ON r.sync_id = $1 AND r.row_key = t.key
     ), of_records AS (
       INSERT INTO sync_pending (sync_id, record_id) SELECT $1, record_id FROM found WHERE record_id IS NOT NULL ORDER BY record_id
       ON CONFLICT (sync_id, record_id) WHERE record_id IS NOT NULL
       DO UPDATE SET next_attempt_at = NULL, code = NULL, message = NULL, parked_at = NULL, is_deleted = false
     )
     INSERT INTO sync_pending (sync_id, row_key) SELECT $1, key FROM found WHERE record_id IS NULL ORDER BY key
     ON CONFLICT (sync_id, row_key) WHERE row_key IS NOT NULL
     DO UPDATE SET next_attempt_at = NULL, code = NULL, message = NULL, parked_at = NULL`,
    [syncId, JSON.stringify(keys)],
  );
}

/** Has records looked at again. */
export async function touchRecords(
  sql: Pick<EntityManager, 'query'>,
  syncId: string,
  recordIds: readonly string[],
): Promise<void> {
  if (recordIds.length === 0) return;
  await sql.query(
    `INSERT INTO sync_pending (sync_id, record_id) SELECT DISTINCT $1::uuid, id FROM unnest($2::text[]) AS id ORDER BY id
     ON CONFLICT (sync_id, record_id) WHERE record_id IS NOT NULL DO UPDATE SET next_attempt_at = NULL, code = NULL, message = NULL, parked_at = NULL`,
    [syncId, recordIds],
  );
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

/** After TRUNCATE: whose row is missing then was deleted. */
async function touchEverything(sql: EntityManager, syncId: string): Promise<void> {
  await sql.query(
    `INSERT INTO sync_pending (sync_id, record_id)
     SELECT sync_id, record_id FROM copied_records WHERE sync_id = $1 AND row_key IS NOT NULL ORDER BY record_id
     ON CONFLICT (sync_id, record_id) WHERE record_id IS NOT NULL DO NOTHING`,
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
