import type { EntityManager } from 'typeorm';
import { jsonText } from '../../changes/json-text.ts';
import type { ErrorCode } from '../../errors.ts';
import type { ToldResult } from '../../records/writes/record-write.ts';
import { deleteRows } from '../target/target-rows.ts';
import { touchNewRows, type StoredPush } from './in-flight.ts';
import { foldAll, passToRecord, touchRecords } from './outbox.ts';
import { markRecordIds } from './record-ids.ts';
import type { Cells } from '../values/row-writes.ts';
import type { Sync } from '../sync.ts';

/**
 * How long after a call without an answer its changes are sent again, where that does no harm, in seconds; and what was
 * forbidden by itself, which others had better not wait for.
 */
const retrySeconds = 20;

/** What keeps everything from being sent, not just these records. */
const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'CONNECTION_NOT_CONNECTED',
  'CONNECTION_NOT_FOUND',
  'SCOPE_MISSING',
  'BASE_NOT_FOUND',
  'TABLE_NOT_FOUND',
  // Also told of a record that was deleted meanwhile, which the log will show; and of all that are sent with it.
  'UPSTREAM_FORBIDDEN',
  'UPSTREAM_RATE_LIMITED',
  'UPSTREAM_MONTHLY_LIMIT',
  'UPSTREAM_UNAVAILABLE',
  'UPSTREAM_UNREADABLE',
  'DEADLINE_EXCEEDED',
  'DATABASE_UNAVAILABLE',
  'SHUTTING_DOWN',
  'INTERNAL',
]);

/**
 * How a batch went: as it should, which refusals of single records are a part of; or it told nothing yet, since each record
 * has to be sent by itself first; or why nothing can be sent at the moment.
 */
export type Course = 'well' | 'apart' | { failure: string };

/**
 * Stores what became of a batch, in a transaction that holds the sync's row. What was written waits to be seen in the log,
 * a new record belongs to its row from here on, what was refused is parked, and what was not sent is pending again.
 * @returns how that went; after a failure the next attempt had better wait
 */
export async function storeResults(
  sql: EntityManager,
  sync: Sync,
  batch: readonly StoredPush[],
  results: readonly ToldResult[],
): Promise<Course> {
  await foldAll(sql, sync);
  const rows = await sql.query<{ id: string; rowKey: string[] | null }[]>(
    `SELECT id, row_key AS "rowKey" FROM sync_writes WHERE id = ANY($1) AND state = 'sending' ORDER BY id`,
    [batch.map(({ id }) => id)],
  );
  const keys = new Map(rows.map(({ id, rowKey }) => [id, rowKey]));
  let course: Course = 'well';
  for (const [index, sent] of batch.entries()) {
    const result = results[index];
    if (!keys.has(sent.id) || !result) continue;
    const push = { ...sent, rowKey: keys.get(sent.id) ?? null };
    if (result.status === 'WRITTEN') await written(sql, sync, push, result);
    else if (result.status === 'OUTCOME_UNKNOWN') await unknown(sql, sync, push);
    else course = worse(course, await notWritten(sql, sync, push, result, batch.length));
  }
  return course;
}

function worse(one: Course, other: Course): Course {
  if (typeof one === 'object' || other === 'well') return one;
  return other;
}

/** For a batch that came to nothing as a whole. */
export async function takeBack(sql: EntityManager, sync: Sync, batch: readonly StoredPush[]): Promise<void> {
  await foldAll(sql, sync);
  const [rows] = await sql.query<[Pick<StoredPush, 'kind' | 'recordId' | 'rowKey'>[], number]>(
    `DELETE FROM sync_writes WHERE id = ANY($1) AND state = 'sending' RETURNING kind, record_id AS "recordId", row_key AS "rowKey"`,
    [batch.map(({ id }) => id)],
  );
  for (const row of rows) await again(sql, sync.id, row);
}

async function written(sql: EntityManager, sync: Sync, push: StoredPush, result: ToldResult): Promise<void> {
  if (push.kind === 'create') {
    if (result.recordId !== null && push.rowKey !== null) {
      const cells = result.record?.cells ?? withoutEmpty(push.cells);
      const createdTime = result.record?.createdTime ?? null;
      await link(sql, sync, { recordId: result.recordId, createdTime, cells, rowKey: push.rowKey });
    }
    await sql.query('DELETE FROM sync_writes WHERE id = $1', [push.id]);
    return;
  }
  const { record } = result;
  const answered = record
    ? Object.fromEntries(Object.keys(push.cells).map((id) => [id, record.cells[id] ?? null]))
    : null;
  // The log may have been faster than the answer.
  await sql.query('DELETE FROM sync_writes WHERE id = $1 AND seen', [push.id]);
  await sql.query(
    `UPDATE sync_writes SET state = 'written', answered = $2, ended_at = clock_timestamp() WHERE id = $1`,
    [push.id, answered && jsonText(answered)],
  );
}

/** A new record is that of a row. If it was told of before its answer came, it has got a row of its own: that one goes. */
async function link(
  sql: EntityManager,
  sync: Sync,
  made: { recordId: string; createdTime: string | null; cells: Cells; rowKey: string[] },
): Promise<void> {
  const [known] = await sql.query<{ rowKey: string[] | null }[]>(
    'SELECT row_key AS "rowKey" FROM copied_records WHERE sync_id = $1 AND record_id = $2 FOR UPDATE',
    [sync.id, made.recordId],
  );
  const isOther = known?.rowKey && JSON.stringify(known.rowKey) !== JSON.stringify(made.rowKey);
  if (isOther) await deleteRows(sql, sync, [{ recordId: made.recordId, rowKey: known.rowKey ?? [] }]);
  await sql.query(
    'UPDATE copied_records SET row_key = NULL WHERE sync_id = $1 AND row_key = $2 AND record_id <> $3',
    [sync.id, made.rowKey, made.recordId],
  );
  await sql.query(
    `INSERT INTO copied_records (sync_id, record_id, created_time, cells, seen_run, row_key)
     VALUES ($1, $2, coalesce($3::timestamptz, clock_timestamp()), $4, $5, $6)
     ON CONFLICT (sync_id, record_id) DO UPDATE SET row_key = excluded.row_key, created_time = coalesce($3, copied_records.created_time)`,
    [sync.id, made.recordId, made.createdTime, jsonText(made.cells), sync.run, made.rowKey],
  );
  // The row may have been changed or deleted since it was sent.
  await passToRecord(sql, sync.id, made.rowKey, made.recordId);
  // Elsewhere that is done when the row is looked at, which a pull does not.
  if (sync.direction === 'pull')
    await markRecordIds(sql, sync, [{ recordId: made.recordId, key: made.rowKey, row: {} }]);
}

async function unknown(sql: EntityManager, sync: Sync, push: StoredPush): Promise<void> {
  await sql.query(`UPDATE sync_writes SET state = 'unknown', ended_at = clock_timestamp() WHERE id = $1`, [
    push.id,
  ]);
  // A creation waits for the log. The others can be repeated: should both take effect, the log shows it.
  if (push.recordId === null) return;
  await touchRecords(sql, sync.id, [push.recordId], { isDeleted: push.kind === 'delete' });
  await sql.query(
    `UPDATE sync_pending SET next_attempt_at = clock_timestamp() + make_interval(secs => $3) WHERE sync_id = $1 AND record_id = $2`,
    [sync.id, push.recordId, retrySeconds],
  );
}

async function notWritten(
  sql: EntityManager,
  sync: Sync,
  push: StoredPush,
  { status, error }: ToldResult,
  batchSize: number,
): Promise<Course> {
  await sql.query('DELETE FROM sync_writes WHERE id = $1', [push.id]);
  const code = error?.code ?? 'INTERNAL';
  // Gone already; the log tells of it.
  if (push.kind === 'delete' && code === 'RECORD_NOT_FOUND' && batchSize === 1) {
    await sql.query(
      `INSERT INTO sync_writes (sync_id, batch, kind, record_id, cells, state, ended_at)
       VALUES ($1, $2, 'delete', $3, '{}', 'written', clock_timestamp())`,
      [sync.id, push.batch, push.recordId],
    );
    return 'well';
  }
  await again(sql, sync.id, push);
  const isForbidden = code === 'UPSTREAM_FORBIDDEN' && status !== 'NOT_SENT';
  const isPassing = status === 'NOT_SENT' || passing.has(code);
  if (isPassing && !isForbidden) return { failure: error?.message ?? code };
  const because = [code, error?.message ?? ''];
  const [set, values]: [string, unknown[]] =
    batchSize > 1
      ? ['alone = true', []]
      : isForbidden
        ? ['alone = true, next_attempt_at = clock_timestamp() + make_interval(secs => $4)', [retrySeconds]]
        : ['alone = true, code = $4, message = $5, parked_at = clock_timestamp()', because];
  // Of a new row that was deleted meanwhile nothing is left to refuse.
  await sql.query(
    `UPDATE sync_pending SET ${set} WHERE sync_id = $1 AND (record_id = $2 OR row_key = $3 AND NOT is_deleted)`,
    [sync.id, push.recordId, push.rowKey, ...values],
  );
  if (!isForbidden) return 'well';
  return batchSize > 1 ? 'apart' : { failure: error?.message ?? code };
}

async function again(
  sql: EntityManager,
  syncId: string,
  { kind, recordId, rowKey }: Pick<StoredPush, 'kind' | 'recordId' | 'rowKey'>,
): Promise<void> {
  if (recordId !== null) await touchRecords(sql, syncId, [recordId], { isDeleted: kind === 'delete' });
  else if (rowKey !== null) await touchNewRows(sql, syncId, [rowKey]);
}

function withoutEmpty(cells: Cells): Cells {
  return Object.fromEntries(Object.entries(cells).filter(([, cell]) => cell !== null));
}
