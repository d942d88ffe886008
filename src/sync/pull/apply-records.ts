import type { EntityManager } from 'typeorm';
import { jsonText } from '../../changes/json-text.ts';
import { park } from '../target/parked-records.ts';
import {
  decideRowWrites,
  type Cells,
  type KnownNews,
  type RecordNews,
  type RowWrite,
} from '../values/row-writes.ts';
import { livingColumns, type Sync } from '../sync.ts';
import { deleteRows, putRows } from '../target/target-rows.ts';
import { claimCreations } from '../merge/claimed-creations.ts';
import { decideMerges } from '../merge/two-way.ts';
import { foldAll } from '../push/outbox.ts';

export interface ApplyOptions {
  /** The run that read the records, or that they are to be counted as seen by; null where nobody has asked upstream. */
  seenRun: number | null;
  /** Whether rows are written although no mapped value has changed. */
  always?: boolean;
  now: Date;
}

/**
 * Applies news of records, one each at most, in the caller's transaction, which holds the sync's row: to what is remembered
 * of the upstream, and to the rows of the target. What the target refuses is parked.
 */
export async function applyRecords(
  sql: EntityManager,
  sync: Sync,
  news: readonly RecordNews[],
  { seenRun, always = false, now }: ApplyOptions,
): Promise<void> {
  if (news.length === 0) return;
  // A constraint that is checked at the end would fail everything, and not the row.
  await sql.query('SET CONSTRAINTS ALL IMMEDIATE');
  const isPull = sync.direction === 'pull';
  if (!isPull) await foldAll(sql, sync);
  const known = await withKnown(sql, sync.id, news);
  const writes = isPull
    ? decideRowWrites(sync, await withClaimed(sql, sync, known), { always })
    : await decideMerges(sql, sync, known, { always, now });
  const puts = writes.filter((write) => write.kind === 'put');
  const deletes = writes.filter((write) => write.kind === 'delete');
  // First, since a key that is given up may be another's in the same moment.
  const held = await deleteRows(
    sql,
    sync,
    deletes.map(({ news: { recordId }, rowKey }) => ({ recordId, rowKey })),
  );
  const { keys, refused } = await putRows(
    sql,
    sync,
    puts.map(({ news: { recordId, rowKey, changedAt }, cells, only }) => ({
      recordId,
      rowKey,
      cells,
      changedAt,
      ...(only ? { only } : {}),
    })),
  );
  await remember(sql, sync, writes, keys, seenRun);
  const stuck = new Set([...held, ...refused].map(({ recordId }) => recordId));
  const passed = [...puts, ...deletes].map(({ news: one }) => one.recordId).filter((id) => !stuck.has(id));
  await park(sql, sync.id, { refused: [...held, ...refused], passed, at: now });
  // Records that are gone, and had no row, have nothing left to wait for.
  const vanished = writes.filter(({ kind, news: one }) => kind === 'none' && one.cells === null);
  if (vanished.length > 0)
    await sql.query(
      'DELETE FROM sync_parked WHERE sync_id = $1 AND record_id = ANY($2) AND row_key IS NULL',
      [sync.id, vanished.map(({ news: one }) => one.recordId)],
    );
  if (passed.length > 0) await sql.query('UPDATE syncs SET changed_at = $2 WHERE id = $1', [sync.id, now]);
}

/** A record that the sync has made for a row, before it turned, and of which no answer came, is that row's. */
async function withClaimed(
  sql: EntityManager,
  sync: Sync,
  known: readonly KnownNews[],
): Promise<KnownNews[]> {
  const { news } = await claimCreations(sql, sync, livingColumns(sync), known);
  return news;
}

/** Locks what is remembered of the records, in the order of their ids. */
async function withKnown(
  sql: EntityManager,
  syncId: string,
  news: readonly RecordNews[],
): Promise<KnownNews[]> {
  const rows = await sql.query<
    { recordId: string; createdTime: Date; cells: Cells; rowKey: string[] | null }[]
  >(
    `SELECT record_id AS "recordId", created_time AS "createdTime", cells, row_key AS "rowKey" FROM copied_records
     WHERE sync_id = $1 AND record_id = ANY($2) ORDER BY record_id FOR UPDATE`,
    [syncId, news.map(({ recordId }) => recordId)],
  );
  const byId = new Map(rows.map((row) => [row.recordId, row]));
  return news.map((one) => {
    const row = byId.get(one.recordId);
    const createdTime = one.createdTime ?? row?.createdTime ?? null;
    return { ...one, createdTime, base: row?.cells ?? null, rowKey: row?.rowKey ?? null };
  });
}

async function remember(
  sql: EntityManager,
  sync: Sync,
  writes: readonly RowWrite[],
  keys: ReadonlyMap<string, string[]>,
  seenRun: number | null,
): Promise<void> {
  const gone = writes.filter(({ news }) => news.cells === null).map(({ news }) => news.recordId);
  if (gone.length > 0)
    await sql.query('DELETE FROM copied_records WHERE sync_id = $1 AND record_id = ANY($2)', [sync.id, gone]);
  const kept = writes.filter(({ news }) => news.cells !== null);
  if (kept.length === 0) return;
  const rows = kept.map(({ news }) => ({
    id: news.recordId,
    created: news.createdTime,
    cells: news.cells,
    key: keys.get(news.recordId) ?? news.rowKey,
    generation: news.position?.generation ?? null,
    payload: news.position?.payload ?? null,
    ordinal: news.position?.ordinal ?? null,
  }));
  await freeKeys(sql, sync.id, rows);
  await sql.query(
    `INSERT INTO copied_records AS c (sync_id, record_id, created_time, cells, seen_run, generation, payload, ordinal, row_key)
     SELECT $1, r.id, r.created, r.cells, coalesce($3::integer, 0), r.generation, r.payload, r.ordinal, r.key
     FROM jsonb_to_recordset($2::jsonb)
       AS r(id text, created timestamptz, cells jsonb, generation integer, payload integer, ordinal integer, key text[])
     ORDER BY r.id
     ON CONFLICT (sync_id, record_id) DO UPDATE SET created_time = excluded.created_time, cells = excluded.cells, seen_run = coalesce($3, c.seen_run),
       generation = coalesce(excluded.generation, c.generation), payload = coalesce(excluded.payload, c.payload),
       ordinal = coalesce(excluded.ordinal, c.ordinal), row_key = excluded.row_key`,
    [sync.id, jsonText(rows), seenRun],
  );
}

/** The row of a record was deleted here, and another record's made with its key: it is that one's now. */
async function freeKeys(
  sql: EntityManager,
  syncId: string,
  rows: readonly { id: string; key: string[] | null }[],
): Promise<void> {
  await sql.query(
    `UPDATE copied_records AS c SET row_key = NULL
     FROM jsonb_to_recordset($2::jsonb) AS r(id text, key text[])
     WHERE c.sync_id = $1 AND c.row_key = r.key AND c.record_id <> r.id`,
    [syncId, jsonText(rows.filter(({ key }) => key !== null))],
  );
}
