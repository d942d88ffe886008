import type { EntityManager } from 'typeorm';
import { isOutboxFilled } from '../push/outbox.ts';
import { NotYet } from '../sync-lease.ts';
import type { MappedColumn, Sync } from '../sync.ts';
import { keyText, localCells, readRows, type TargetRow } from '../target/local-rows.ts';
import type { Cells, KnownNews } from '../values/row-writes.ts';

/** The row of one record. */
export interface Local {
  /** Null when it is not there. */
  row: TargetRow | null;
  /** Whether somebody was seen deleting it. */
  isDeleted: boolean;
}

/** What it holds; `deleted` if it was deleted here, null if there never was one. */
export function localOf(
  columns: readonly MappedColumn[],
  { base }: KnownNews,
  local: Local | undefined,
): Cells | 'deleted' | null {
  if (local?.row) return localCells(columns, local.row, base ?? {}).cells;
  return local?.isDeleted ? 'deleted' : null;
}

/** Records whose row the target has refused when it was last written. */
export async function refusedAmong(
  sql: EntityManager,
  { id }: Pick<Sync, 'id'>,
  news: readonly KnownNews[],
): Promise<Set<string>> {
  const rows = await sql.query<{ id: string }[]>(
    'SELECT record_id AS id FROM sync_parked WHERE sync_id = $1 AND record_id = ANY($2) AND row_key IS NULL',
    [id, news.map(({ recordId }) => recordId)],
  );
  return new Set(rows.map((row) => row.id));
}

/** The rows of these records as they are now, kept from being changed until the transaction ends. @throws NotYet */
export async function readLocal(
  sql: EntityManager,
  sync: Sync,
  news: readonly KnownNews[],
): Promise<Map<string, Local>> {
  const keys = news.flatMap(({ rowKey }) => (rowKey ? [rowKey] : []));
  const rows = await readRows(sql, sync, keys, { lock: true });
  const missing = keys.filter((key) => !rows.has(keyText(key)));
  const busy = await readRows(sql, sync, missing, { lock: false });
  if (busy.size > 0) throw new NotYet(`Somebody is writing to ${busy.size} rows of ${sync.targetTable}.`);
  // What made them go was captured: their key may have changed.
  if (missing.length > 0 && (await isOutboxFilled(sql, sync.id))) throw new NotYet('Rows have moved.');
  const deletions = await sql.query<{ id: string }[]>(
    `SELECT record_id AS id FROM sync_pending WHERE sync_id = $1 AND record_id = ANY($2) AND is_deleted
     UNION SELECT record_id FROM sync_writes WHERE sync_id = $1 AND record_id = ANY($2) AND kind = 'delete'`,
    [sync.id, news.map(({ recordId }) => recordId)],
  );
  const deleted = new Set(deletions.map(({ id }) => id));
  return new Map(
    news.map(({ recordId, rowKey }) => {
      const row = (rowKey && rows.get(keyText(rowKey))) ?? null;
      return [recordId, { row, isDeleted: row === null && deleted.has(recordId) }];
    }),
  );
}
