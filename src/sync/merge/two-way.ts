import type { EntityManager } from 'typeorm';
import type { ChangeEntry } from '../../changes/log-entry.ts';
import { columnValue } from '../values/column-types.ts';
import { listConflicts } from './conflicts.ts';
import { inFlightOf, markSeen, openCreations, touchNewRows, type StoredPush } from '../push/in-flight.ts';
import { keyText, localCells, readRows, type TargetRow } from '../target/local-rows.ts';
import { foldOutbox, isOutboxFilled, touchRecords } from '../push/outbox.ts';
import { mergeRecord, type MergedRecord, type MergeState, type Step } from './record-merge.ts';
import { isSent } from '../values/row-cells.ts';
import type { Cells, KnownNews, RowWrite } from '../values/row-writes.ts';
import { sameCell } from '../values/same-cell.ts';
import { NotYet } from '../sync-lease.ts';
import { putRows } from '../target/target-rows.ts';
import { livingColumns, type MappedColumn, type Sync } from '../sync.ts';

/** Before anything is known of records: what was changed here so far is pending, and rows have the keys that they have now. */
export async function foldAll(sql: EntityManager, sync: Pick<Sync, 'id'>): Promise<void> {
  while (await foldOutbox(sql, sync));
}

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

interface Local {
  /** Null when it is not there. */
  row: TargetRow | null;
  isDeleted: boolean;
}

function localOf(
  columns: readonly MappedColumn[],
  { base }: KnownNews,
  local: Local | undefined,
): MergeState['local'] {
  if (local?.row) return localCells(columns, local.row, base ?? {}).cells;
  return local?.isDeleted ? 'deleted' : null;
}

/** Records whose row the target has refused when it was last written. */
async function refusedAmong(
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

/** The rows of these records as they are now, kept from being changed until the transaction ends. */
async function readLocal(
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
  const evicted = await sql.query<{ id: string }[]>(
    'SELECT record_id AS id FROM sync_pending WHERE sync_id = $1 AND record_id = ANY($2) AND is_deleted',
    [sync.id, news.filter(({ rowKey }) => rowKey === null).map(({ recordId }) => recordId)],
  );
  const deleted = new Set(evicted.map(({ id }) => id));
  return new Map(
    news.map(({ recordId, rowKey }) => {
      const row = (rowKey && rows.get(keyText(rowKey))) ?? null;
      return [recordId, { row, isDeleted: row === null && (rowKey !== null || deleted.has(recordId)) }];
    }),
  );
}

/**
 * Records that are new to us and may be what was created from here without an answer: the first with the same cells is it.
 * Others with the same cells would do as well, since nothing tells them apart. Rows of an existing table are taken by the
 * record that has their key, if that is mapped.
 */
async function claimCreations(
  sql: EntityManager,
  sync: Sync,
  columns: readonly MappedColumn[],
  given: readonly KnownNews[],
): Promise<{ news: KnownNews[]; linked: Set<string> }> {
  const linked = new Set<string>();
  if (given.every(({ base }) => base !== null)) return { news: [...given], linked };
  const open = await openCreations(sql, sync.id);
  const sent = columns.filter(isSent);
  const news: KnownNews[] = [];
  for (const one of given) {
    const cells = one.base === null ? firstCells(one) : null;
    const place = cells ? open.findIndex((push) => isCreationOf(sent, push, cells)) : -1;
    const push = open[place];
    if (!push || !cells) {
      news.push(one.base === null ? await adopted(sql, sync, columns, one) : one);
      continue;
    }
    if (push.state === 'sending') throw new NotYet('A creation has not been answered yet.');
    open.splice(place, 1);
    linked.add(one.recordId);
    news.push({ ...one, base: cells, rowKey: push.rowKey });
    await sql.query('DELETE FROM sync_writes WHERE id = $1', [push.id]);
    // What was changed of the row since it was sent is a change of that record.
    await sql.query('DELETE FROM sync_pending WHERE sync_id = $1 AND row_key = $2', [sync.id, push.rowKey]);
    await touchRecords(sql, sync.id, [one.recordId]);
  }
  return { news, linked };
}

function isCreationOf(sent: readonly MappedColumn[], push: StoredPush, cells: Cells): boolean {
  return sent.every((column) => sameCell(column, push.cells[column.fieldId], cells[column.fieldId]));
}

/** The record as it came to life; of one that was read, as it was read. */
function firstCells({ entries, cells }: KnownNews): Cells | null {
  const [first] = entries;
  if (!first) return cells;
  return first.kind === 'created' ? (first.cells ?? cells) : null;
}

async function adopted(
  sql: EntityManager,
  sync: Sync,
  columns: readonly MappedColumn[],
  one: KnownNews,
): Promise<KnownNews> {
  const { cells } = one;
  if (sync.owned || sync.direction === 'push' || cells === null || one.rowKey !== null) return one;
  const key = sync.keyColumns.map((name) => {
    const column = columns.find((mapped) => mapped.column === name);
    const value = column && columnValue(column, cells[column.fieldId]);
    return typeof value === 'string' || typeof value === 'number' ? String(value) : null;
  });
  if (!key.every((part) => part !== null)) return one;
  const [owner] = await sql.query<object[]>(
    'SELECT 1 FROM copied_records WHERE sync_id = $1 AND row_key = $2',
    [sync.id, key],
  );
  if (owner) return one;
  const rows = await readRows(sql, sync, [key], { lock: false });
  if (rows.size === 0) return one;
  await sql.query('DELETE FROM sync_pending WHERE sync_id = $1 AND row_key = $2', [sync.id, key]);
  return { ...one, base: {}, rowKey: key };
}

/** What an entry, or the record as it was read, says. */
function stepsOf(one: KnownNews, linked: ReadonlySet<string>): Step[] {
  const { entries, cells } = one;
  if (entries.length === 0) return cells === null ? [{ kind: 'deleted' }] : [{ kind: 'read', cells }];
  const told = linked.has(one.recordId) ? entries.slice(1) : entries;
  let before = one.base ?? {};
  const steps = told.map((entry): Step => {
    if (entry.kind === 'deleted') {
      before = {};
      return { kind: 'deleted' };
    }
    const after = entry.cells ?? withFields(before, entry);
    before = after;
    const previous = entry.fields.filter((field) => 'previous' in field);
    return {
      kind: 'changed',
      cells: after,
      changed: entry.fields.map(({ id }) => id),
      previous: Object.fromEntries(previous.map((field) => [field.id, field.previous])),
    };
  });
  // Read because the log did not tell all of it.
  if (cells !== null && steps.length > 0 && entries.at(-1)?.cells == null) {
    const last = steps.at(-1);
    if (last?.kind === 'changed') last.cells = cells;
  }
  if (cells === null && steps.at(-1)?.kind !== 'deleted') steps.push({ kind: 'deleted' });
  return steps;
}

function withFields(before: Cells, { fields }: ChangeEntry): Cells {
  return { ...before, ...Object.fromEntries(fields.map(({ id, current }) => [id, current])) };
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
  await sql.query('DELETE FROM sync_pending WHERE sync_id = $1 AND record_id = ANY($2)', [
    sync.id,
    gone.map(({ recordId }) => recordId),
  ]);
  await keepRows(sql, sync, gone, now);
  const kept = merged.filter(({ news }) => news.cells !== null);
  if (sync.direction === 'push') {
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
