import type { EntityManager } from 'typeorm';
import { inFlightOf, markSeen, touchNewRows } from '../push/in-flight.ts';
import { touchRecords } from '../push/outbox.ts';
import { livingColumns, type Sync } from '../sync.ts';
import { putRows } from '../target/target-rows.ts';
import type { KnownNews, RowWrite } from '../values/row-writes.ts';
import { claimCreations } from './claimed-creations.ts';
import { listConflicts } from './conflicts.ts';
import { localOf, readLocal, refusedAmong, type Local } from './local-side.ts';
import { stepsOf } from './news-steps.ts';
import { mergeRecord, type MergedRecord, type MergeState } from './record-merge.ts';

/**
 * The same as for a pull where changes of the target are sent: rows keep what was changed in them, and what both sides have
 * changed is decided and listed. In a push the rows are never written; what the upstream holds is only remembered.
 * @param always whether rows are to be looked at although nothing was told of them
 * @throws NotYet
 */
export async function decideMerges(
  sql: EntityManager,
  sync: Sync,
  given: readonly KnownNews[],
  { always, now }: { always: boolean; now: Date },
): Promise<RowWrite[]> {
  const columns = livingColumns(sync);
  const { news, linked } = await claimCreations(sql, sync, columns, given);
  const isPush = sync.direction === 'push';
  const known = isPush ? new Map<string, Local>() : await readLocal(sql, sync, news);
  const refused = await refusedAmong(sql, sync, news);
  const inFlight = await inFlightOf(
    sql,
    sync.id,
    news.map(({ recordId }) => recordId),
  );
  const merged = news.map((one) => {
    const local = isPush ? null : localOf(columns, one, known.get(one.recordId));
    const state: MergeState = {
      columns,
      policy: sync.conflicts,
      // What the target has refused of the upstream is no change of the row.
      base: refused.has(one.recordId) && local !== null && local !== 'deleted' ? local : one.base,
      local,
      inFlight: inFlight.get(one.recordId) ?? [],
    };
    return { recordId: one.recordId, news: one, result: mergeRecord(state, stepsOf(one, linked)) };
  });
  await listConflicts(sql, sync, merged, now);
  await afterwards(sql, sync, merged, { always, now });
  return merged.map(({ news: one, result }) => writeOf(sync, one, result));
}

type Merged = { recordId: string; news: KnownNews; result: MergedRecord };

async function afterwards(
  sql: EntityManager,
  sync: Sync,
  merged: readonly Merged[],
  { always, now }: { always: boolean; now: Date },
): Promise<void> {
  await markSeen(
    sql,
    merged.flatMap(({ result }) => result.seen),
  );
  const gone = merged.filter(({ news, result }) => news.cells === null && !result.isHeld);
  const [dropped] = await sql.query<[{ recordId: string }[], number]>(
    'DELETE FROM sync_pending WHERE sync_id = $1 AND record_id = ANY($2) RETURNING record_id AS "recordId"',
    [sync.id, gone.map(({ recordId }) => recordId)],
  );
  await keepRows(sql, sync, gone, now);
  const kept = merged.filter(({ news }) => news.cells !== null);
  if (sync.direction === 'push') {
    // Rows that were changed, or made again, while their record went: they are to be sent as new ones.
    const changed = new Set(dropped.map(({ recordId }) => recordId));
    await touchNewRows(
      sql,
      sync.id,
      gone.flatMap(({ recordId, news: { rowKey } }) => (rowKey && changed.has(recordId) ? [rowKey] : [])),
    );
    // What somebody has changed upstream is undone with the next change of the row, or by a reconcile.
    if (always)
      await touchRecords(
        sql,
        sync.id,
        kept.map(({ recordId }) => recordId),
      );
    return;
  }
  const put = kept.filter(({ result }) => result.row === 'put' && result.take === null);
  await sql.query(
    'UPDATE sync_pending SET is_deleted = false WHERE sync_id = $1 AND record_id = ANY($2) AND is_deleted',
    [sync.id, put.map(({ recordId }) => recordId)],
  );
  await touchRecords(
    sql,
    sync.id,
    kept.filter(({ result }) => result.touch === 'record').map(({ recordId }) => recordId),
  );
}

/** Rows whose record is gone and that are to be sent as new ones; they are written first where they are not what was decided. */
async function keepRows(sql: EntityManager, sync: Sync, gone: readonly Merged[], now: Date): Promise<void> {
  const staying = gone.filter(({ result }) => result.touch === 'row');
  const unwritten = staying.filter(({ result }) => result.row === 'put');
  const { keys } = await putRows(
    sql,
    sync,
    unwritten.map(({ recordId, news: { rowKey }, result: { cells, take } }) => ({
      recordId,
      rowKey,
      cells: cells ?? {},
      changedAt: now,
      ...(take === null ? {} : { only: [...take] }),
    })),
  );
  await touchNewRows(
    sql,
    sync.id,
    staying.flatMap(({ recordId, news: { rowKey } }) => {
      const key = keys.get(recordId) ?? rowKey;
      return key ? [key] : [];
    }),
  );
}

function writeOf({ direction }: Sync, news: KnownNews, { row, take, cells, isHeld }: MergedRecord): RowWrite {
  // As it is known, so that what is remembered does not change either.
  if (isHeld) return { kind: 'none', news: { ...news, cells: news.base, position: null } };
  if (direction === 'push') return { kind: 'none', news };
  const { rowKey } = news;
  const isGone = news.cells === null;
  if (row === 'delete' && rowKey !== null && isGone) return { kind: 'delete', news, rowKey };
  if (row === 'put' && !isGone && cells !== null)
    return { kind: 'put', news, cells, ...(take === null ? {} : { only: [...take] }) };
  return { kind: 'none', news };
}
