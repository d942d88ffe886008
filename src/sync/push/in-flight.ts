import type { Sql } from '../../database/sql.ts';
import { keptMs } from '../../records/writes/stored-writes.ts';
import type { InFlight } from '../merge/awaited-writes.ts';
import { touchRecords } from './outbox.ts';
import type { Sync } from '../sync.ts';

/** A write of a sync as it is stored. */
export interface StoredPush extends InFlight {
  batch: string;
  recordId: string | null;
  rowKey: string[] | null;
}

export const pushColumns = `w.id, w.batch, w.kind, w.record_id AS "recordId", w.row_key AS "rowKey", w.cells, w.believed, w.answered, w.state`;

/** How long after it was sent a call may take effect upstream, in milliseconds. */
const maxFlightMs = 10 * 60_000;
/** So long before a stored write is forgotten it is asked for no more, in milliseconds; clocks may differ by less. */
const askingMarginMs = 60 * 60_000;

/** What was sent of these records and has not been seen yet, oldest first. */
export async function inFlightOf(
  sql: Sql,
  syncId: string,
  recordIds: readonly string[],
): Promise<Map<string, StoredPush[]>> {
  const rows = await sql.query<(StoredPush & { recordId: string })[]>(
    `SELECT ${pushColumns} FROM sync_writes AS w WHERE sync_id = $1 AND record_id = ANY($2) AND NOT seen ORDER BY id`,
    [syncId, recordIds],
  );
  const byRecord = new Map<string, StoredPush[]>();
  for (const row of rows) byRecord.set(row.recordId, [...(byRecord.get(row.recordId) ?? []), row]);
  return byRecord;
}

/** Whether something was sent that the log has not shown yet. */
export async function hasLeft(sql: Sql, syncId: string): Promise<boolean> {
  const [row] = await sql.query<{ left: boolean }[]>(
    'SELECT EXISTS (SELECT 1 FROM sync_writes WHERE sync_id = $1) AS left',
    [syncId],
  );
  return row?.left === true;
}

/** Creations of which it is not known which record they made, or whether they made one. */
export async function openCreations(sql: Sql, syncId: string): Promise<StoredPush[]> {
  return sql.query(
    `SELECT ${pushColumns} FROM sync_writes AS w WHERE sync_id = $1 AND kind = 'create' AND state IN ('sending', 'unknown') ORDER BY id`,
    [syncId],
  );
}

/** The log has shown them. What has not been answered yet stays until it is. */
export async function markSeen(sql: Sql, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await sql.query(`DELETE FROM sync_writes WHERE id = ANY($1) AND state <> 'sending'`, [ids]);
  await sql.query(`UPDATE sync_writes SET seen = true WHERE id = ANY($1)`, [ids]);
}

/**
 * What was sent so long ago, as before a pause of a day, has no answer any more: to ask for it by its key would be to send it
 * anew. The log decides what became of it.
 */
export async function endAsking(sql: Sql, syncId: string): Promise<void> {
  const [unanswered] = await sql.query<[Pick<StoredPush, 'kind' | 'recordId'>[], number]>(
    `UPDATE sync_writes SET state = 'unknown', ended_at = clock_timestamp()
     WHERE sync_id = $1 AND state = 'sending' AND sent_at < clock_timestamp() - make_interval(secs => $2) RETURNING kind, record_id AS "recordId"`,
    [syncId, (keptMs - askingMarginMs) / 1_000],
  );
  await lookAgain(sql, syncId, unanswered);
}

/**
 * Ends the waiting for what the log should have shown by now, since everything that the upstream had at a later time has
 * been applied. What was answered has taken effect: where nothing else was told of its cells, they are what was answered.
 * What was not answered has not, and is looked at again.
 */
export async function settleByTime(sql: Sql, { id: syncId, asOf }: Pick<Sync, 'id' | 'asOf'>): Promise<void> {
  if (asOf === null) return;
  const over = await sql.query<(StoredPush & { isAnswered: boolean })[]>(
    `SELECT ${pushColumns}, w.state = 'written' AS "isAnswered" FROM sync_writes AS w
     WHERE sync_id = $1 AND (state = 'written' AND ended_at < $2 OR state = 'unknown' AND ended_at < $3) ORDER BY id`,
    [syncId, asOf, new Date(asOf.getTime() - maxFlightMs)],
  );
  for (const push of over) {
    if (push.isAnswered && push.kind === 'update' && push.recordId !== null)
      await patchKnown(sql, syncId, push);
    if (push.isAnswered && push.kind === 'delete')
      await sql.query('DELETE FROM copied_records WHERE sync_id = $1 AND record_id = $2', [
        syncId,
        push.recordId,
      ]);
    if (push.kind === 'create' && push.rowKey !== null) await touchNewRows(sql, syncId, [push.rowKey]);
  }
  await sql.query('DELETE FROM sync_writes WHERE id = ANY($1)', [over.map(({ id }) => id)]);
  await lookAgain(sql, syncId, over);
}

async function lookAgain(
  sql: Sql,
  syncId: string,
  pushes: readonly Pick<StoredPush, 'kind' | 'recordId'>[],
): Promise<void> {
  for (const isDeleted of [false, true]) {
    const some = pushes.filter(({ kind }) => (kind === 'delete') === isDeleted);
    await touchRecords(
      sql,
      syncId,
      some.flatMap(({ recordId }) => recordId ?? []),
      { isDeleted },
    );
  }
}

async function patchKnown(
  sql: Sql,
  syncId: string,
  { recordId, cells, believed, answered }: StoredPush,
): Promise<void> {
  await sql.query(
    `UPDATE copied_records AS r SET cells = jsonb_strip_nulls(r.cells || coalesce(
       (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each($3::jsonb) AS c
        WHERE coalesce(r.cells -> c.key, 'null') = coalesce($4::jsonb -> c.key, 'null')), '{}'))
     WHERE sync_id = $1 AND record_id = $2`,
    [syncId, recordId, JSON.stringify({ ...cells, ...answered }), JSON.stringify(believed)],
  );
}

/** Has rows looked at as new ones, whatever record they had. */
export async function touchNewRows(sql: Sql, syncId: string, keys: readonly string[][]): Promise<void> {
  if (keys.length === 0) return;
  await sql.query(
    `INSERT INTO sync_pending (sync_id, row_key)
     SELECT DISTINCT $1::uuid, ARRAY(SELECT jsonb_array_elements_text(key)) AS row_key FROM jsonb_array_elements($2::jsonb) AS key ORDER BY row_key
     ON CONFLICT (sync_id, row_key) WHERE row_key IS NOT NULL
     DO UPDATE SET next_attempt_at = NULL, code = NULL, message = NULL, parked_at = NULL`,
    [syncId, JSON.stringify(keys)],
  );
}
