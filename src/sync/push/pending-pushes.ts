import type { EntityManager } from 'typeorm';
import {
  batchesOf,
  isSending,
  storeBatches,
  type Known,
  type Outcome,
  type Pending,
  type Looked,
} from './batches.ts';
import { hasLeft, endAsking, inFlightOf, settleByTime, type StoredPush } from './in-flight.ts';
import { keyText, localCells, readRows, type TargetRow } from '../target/local-rows.ts';
import { withoutOwned } from './new-rows.ts';
import { foldAll, isOutboxFilled } from './outbox.ts';
import { isSent } from '../values/row-cells.ts';
import type { Cells } from '../values/row-writes.ts';
import { sameCell } from '../values/same-cell.ts';
import { livingColumns, type Sync } from '../sync.ts';
import { markRecordIds } from './record-ids.ts';

/** Pending changes that are looked at in one transaction. */
const maxLookedAt = 300;
/** What one sync has sent and not seen in the log yet; beyond it nothing more is sent. */
export const maxInFlight = 5_000;

export interface Prepared {
  /** At most as many as there was room for, each with up to ten records of one kind. */
  batches: string[];
  /** Whether there may be more to look at now. */
  isMore: boolean;
  /** Whether there is nothing left to do: the sync pulls by now, and of all that had left it is known what became of it. */
  isOver: boolean;
}

const nothing: Prepared = { batches: [], isMore: false, isOver: false };

/**
 * Looks at what is pending, oldest first, and stores what is to be sent, in a transaction that holds the sync's row. A row
 * is compared, by value, with what its record will hold once everything that was sent has arrived. So what the upstream has
 * told, what was changed and changed back, and what was sent before is not sent. Of one record nothing is sent while
 * something that was sent before has not been answered.
 */
export async function preparePushes(sql: EntityManager, sync: Sync, room: number): Promise<Prepared> {
  if (sync.direction === 'pull') return followToEnd(sql, sync);
  await foldAll(sql, sync);
  await endAsking(sql, sync.id);
  if (sync.state !== 'live') return nothing;
  await settleByTime(sql, sync);
  const due = await duePending(sql, sync.id);
  if (due.length === 0 || room <= 0) return nothing;
  const pending = await withoutOwned(sql, sync, due);
  const known = await knownOf(sql, sync.id, pending);
  const keys = pending.map((item) => rowKeyOf(item, known)).filter((key) => key !== null);
  const rows = await readRows(sql, sync, keys, { lock: false });
  // A row that is missing may only have moved.
  const isMoving = rows.size < keys.length && (await isOutboxFilled(sql, sync.id));
  const inFlight = await inFlightOf(
    sql,
    sync.id,
    pending.flatMap(({ recordId }) => recordId ?? []),
  );
  const looked = pending.map((item) => {
    const record = item.recordId === null ? null : (known.get(item.recordId) ?? null);
    const key = rowKeyOf(item, known);
    const row = (key && rows.get(keyText(key))) ?? null;
    const sentBefore = item.recordId === null ? [] : (inFlight.get(item.recordId) ?? []);
    const expected = expectedCells(record?.cells ?? {}, sentBefore);
    const outcome: Outcome =
      row === null && key !== null && isMoving
        ? { kind: 'later' }
        : outcomeOf(sync, item, record, row, expected);
    return { item, record, row, key, outcome };
  });
  await markRecordIds(
    sql,
    sync,
    looked.flatMap(({ record, row, key }) =>
      record && row && key ? [{ recordId: record.recordId, key, row }] : [],
    ),
  );
  const batches = batchesOf(looked.filter(({ outcome }) => isSending(outcome))).slice(0, room);
  await storeBatches(sql, sync.id, batches);
  await park(sql, looked);
  const over = looked.filter(({ outcome }) => outcome.kind === 'nothing');
  await sql.query('DELETE FROM sync_pending WHERE id = ANY($1)', [
    [...over, ...batches.flatMap(({ items }) => items)].map(({ item }) => item.id),
  ]);
  const isMore = over.length > 0 || batches.length === room || pending.length < due.length;
  return { batches: batches.map(({ id }) => id), isMore, isOver: false };
}

/** Nothing leaves any more. What has not left is no change any longer: in a pull the row is what its record says. */
async function followToEnd(sql: EntityManager, sync: Sync): Promise<Prepared> {
  await endAsking(sql, sync.id);
  await settleByTime(sql, sync);
  await sql.query('DELETE FROM sync_pending WHERE sync_id = $1', [sync.id]);
  return { ...nothing, isOver: !(await hasLeft(sql, sync.id)) };
}

async function duePending(sql: EntityManager, syncId: string): Promise<Pending[]> {
  const [count] = await sql.query<{ count: number }[]>(
    'SELECT count(*)::int AS count FROM sync_writes WHERE sync_id = $1',
    [syncId],
  );
  if ((count?.count ?? 0) >= maxInFlight) return [];
  return sql.query(
    `SELECT p.id, p.record_id AS "recordId", p.row_key AS "rowKey", p.is_deleted AS "isDeleted", p.alone FROM sync_pending AS p
     WHERE p.sync_id = $1 AND p.parked_at IS NULL
       -- Of what the target refused, the row is not what it should be.
       AND NOT EXISTS (SELECT 1 FROM sync_parked AS r WHERE r.sync_id = p.sync_id AND r.record_id = p.record_id)
       AND (p.next_attempt_at IS NULL OR p.next_attempt_at <= clock_timestamp())
       AND NOT EXISTS (
         SELECT 1 FROM sync_writes AS w WHERE w.sync_id = p.sync_id AND w.record_id = p.record_id
           AND (w.state = 'sending' OR w.kind = 'delete' AND w.state = 'written'))
       AND NOT EXISTS (
         SELECT 1 FROM sync_writes AS w WHERE w.sync_id = p.sync_id AND w.row_key = p.row_key AND w.kind = 'create')
     ORDER BY p.id LIMIT $2`,
    [syncId, maxLookedAt],
  );
}

async function knownOf(
  sql: EntityManager,
  syncId: string,
  pending: readonly Pending[],
): Promise<Map<string, Known>> {
  const rows = await sql.query<Known[]>(
    'SELECT record_id AS "recordId", cells, row_key AS "rowKey" FROM copied_records WHERE sync_id = $1 AND record_id = ANY($2)',
    [syncId, pending.flatMap(({ recordId }) => recordId ?? [])],
  );
  return new Map(rows.map((row) => [row.recordId, row]));
}

function rowKeyOf({ recordId, rowKey }: Pending, known: ReadonlyMap<string, Known>): string[] | null {
  return recordId === null ? rowKey : (known.get(recordId)?.rowKey ?? null);
}

function outcomeOf(
  sync: Sync,
  { recordId, isDeleted }: Pending,
  record: Known | null,
  row: TargetRow | null,
  expected: Cells,
): Outcome {
  if (recordId !== null && record === null) return { kind: 'nothing' };
  if (row === null) {
    // A row that is gone without a word is left to those who make it again.
    return record !== null && isDeleted ? { kind: 'delete', cells: {}, believed: {} } : { kind: 'nothing' };
  }
  const columns = livingColumns(sync).filter(isSent);
  const { cells, faults } = localCells(columns, row, expected);
  if (faults.length > 0) return { kind: 'fault', message: faults.map(({ message }) => message).join(' ') };
  const changed = columns.filter(
    (column) => !sameCell(column, cells[column.fieldId], expected[column.fieldId]),
  );
  const pick = (from: Cells): Cells =>
    Object.fromEntries(changed.map(({ fieldId }) => [fieldId, from[fieldId] ?? null]));
  if (record === null) return { kind: 'create', cells: pick(cells), believed: {} };
  return changed.length === 0
    ? { kind: 'nothing' }
    : { kind: 'update', cells: pick(cells), believed: pick(expected) };
}

/** What a record will hold once the log has come to everything that was answered. */
function expectedCells(known: Cells, sentBefore: readonly StoredPush[]): Cells {
  const expected: Record<string, unknown> = { ...known };
  for (const { state, cells, answered } of sentBefore)
    if (state === 'written') Object.assign(expected, cells, answered);
  return expected;
}

async function park(sql: EntityManager, looked: readonly Looked[]): Promise<void> {
  for (const { item, outcome } of looked)
    if (outcome.kind === 'fault') await parkPending(sql, item.id, 'INVALID_INPUT', outcome.message);
}

async function parkPending(sql: EntityManager, id: string, code: string, message: string): Promise<void> {
  await sql.query(
    'UPDATE sync_pending SET code = $2, message = $3, parked_at = clock_timestamp() WHERE id = $1',
    [id, code, message],
  );
}
