import type { EntityManager } from 'typeorm';
import type { SyncLease } from '../sync-lease.ts';
import { deleteRows } from '../target/target-rows.ts';
import { listParked, type ParkedRecord } from '../target/parked-records.ts';
import type { Sync } from '../sync.ts';
import type { Cells, RecordNews } from '../values/row-writes.ts';
import { applyRecords } from './apply-records.ts';
import { batchSize } from './comparison.ts';

/** How often all are tried, as long as some get through each time: rows may name each other from one batch to another. */
const maxPasses = 8;

/** Bounds of the pause between two looks, in milliseconds; it doubles while nothing gets through. */
const minPauseMs = 2_000;
const maxPauseMs = 60_000;

/** Rows that are named by it or have its value: what refused it may be another table's affair, and be over any time. */
const codesOfOthers = ['23503', '23505', '23P01'];

/** Tries all that the target has refused: it may take that by now. */
export async function retryParked(lease: SyncLease, now: () => Date): Promise<void> {
  for (let pass = 1, passed = 1; pass <= maxPasses && passed > 0; pass += 1) {
    passed = 0;
    for (let after: string | null = null; ;) {
      const batch = await retryBatch(lease, now, { after, codes: null });
      passed += batch.passed;
      if (batch.last === null) break;
      after = batch.last;
    }
  }
}

/** Tries again, a batch at a time, what was refused because of other rows, such as one that was not there yet. */
export class ParkedRetries {
  readonly #lease: SyncLease;
  readonly #now: () => Date;
  /** Where the next look goes on. */
  #after: string | null = null;
  #pauseMs = minPauseMs;
  /** By `performance.now()`. */
  #notBefore = 0;

  constructor(lease: SyncLease, now: () => Date) {
    this.#lease = lease;
    this.#now = now;
  }

  /** Does nothing unless it is time. */
  async look(): Promise<void> {
    if (performance.now() < this.#notBefore) return;
    const { tried, passed, last } = await retryBatch(this.#lease, this.#now, {
      after: this.#after,
      codes: codesOfOthers,
    });
    const isStuck = tried > 0 && passed === 0;
    this.#pauseMs = isStuck ? Math.min(maxPauseMs, this.#pauseMs * 2) : minPauseMs;
    this.#after = last;
    this.#notBefore = performance.now() + this.#pauseMs;
  }
}

/** @returns `last`: of the batch; null when nothing comes after it */
async function retryBatch(
  lease: SyncLease,
  now: () => Date,
  which: { after: string | null; codes: readonly string[] | null },
): Promise<{ tried: number; passed: number; last: string | null }> {
  const parked = await listParked(lease.sql, lease.id, { ...which, limit: batchSize });
  if (parked.length === 0) return { tried: 0, passed: 0, last: null };
  const left = await lease.transaction(async (sql, sync) => {
    await retry(sql, sync, parked, now());
    const [row] = await sql.query<{ left: number }[]>(
      'SELECT count(*)::int AS left FROM sync_parked WHERE sync_id = $1 AND record_id = ANY($2)',
      [lease.id, parked.map(({ recordId }) => recordId)],
    );
    return row?.left ?? 0;
  });
  const isLast = parked.length < batchSize;
  return {
    tried: parked.length,
    passed: parked.length - left,
    last: isLast ? null : (parked.at(-1)?.recordId ?? null),
  };
}

async function retry(
  sql: EntityManager,
  sync: Sync,
  parked: readonly ParkedRecord[],
  now: Date,
): Promise<void> {
  const ids = parked.map(({ recordId }) => recordId);
  const rows = await sql.query<{ recordId: string; createdTime: Date; cells: Cells }[]>(
    `SELECT record_id AS "recordId", created_time AS "createdTime", cells FROM copied_records
     WHERE sync_id = $1 AND record_id = ANY($2)`,
    [sync.id, ids],
  );
  const news: RecordNews[] = rows.map((row) => ({ ...row, changedAt: now, entries: [], position: null }));
  await applyRecords(sql, sync, news, { seenRun: null, always: true, now });
  const others = await sql.query<{ recordId: string }[]>(
    `SELECT p.record_id AS "recordId" FROM sync_parked AS p
       JOIN copied_records AS c ON c.sync_id = p.sync_id AND c.row_key = p.row_key
     WHERE p.sync_id = $1 AND p.record_id = ANY($2)`,
    [sync.id, ids],
  );
  const passedOn = new Set(others.map(({ recordId }) => recordId));
  // A row that has become another record's meanwhile is not to go.
  const stuck = parked.filter(({ rowKey, recordId }) => rowKey !== null && !passedOn.has(recordId));
  const held = await deleteRows(
    sql,
    sync,
    stuck.map(({ recordId, rowKey }) => ({ recordId, rowKey: rowKey ?? [] })),
  );
  const still = new Set(held.map(({ recordId }) => recordId));
  const kept = new Set(rows.map(({ recordId }) => recordId));
  // One that is neither remembered nor in the way has nothing left to wait for.
  const over = ids.filter((recordId) => !still.has(recordId) && !kept.has(recordId));
  await sql.query('DELETE FROM sync_parked WHERE sync_id = $1 AND record_id = ANY($2)', [sync.id, over]);
}
