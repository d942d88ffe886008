import type { EntityManager } from 'typeorm';
import { openCreations, type StoredPush } from '../push/in-flight.ts';
import { passToRecord, touchRecords } from '../push/outbox.ts';
import { NotYet } from '../sync-lease.ts';
import type { MappedColumn, Sync } from '../sync.ts';
import { readRows } from '../target/local-rows.ts';
import { columnValue } from '../values/column-types.ts';
import { isSent } from '../values/row-cells.ts';
import type { Cells, KnownNews } from '../values/row-writes.ts';
import { sameCell } from '../values/same-cell.ts';

/**
 * Records that are new to us and may be what was created from here without an answer: the first with the same cells is it.
 * Others with the same cells would do as well, since nothing tells them apart. Rows of an existing table are taken by the
 * record that has their key, if that is mapped. In a pull only what was created before the sync has turned is looked at.
 */
export async function claimCreations(
  sql: EntityManager,
  sync: Sync,
  columns: readonly MappedColumn[],
  given: readonly KnownNews[],
): Promise<{ news: KnownNews[]; linked: Set<string> }> {
  const linked = new Set<string>();
  const isPull = sync.direction === 'pull';
  if (given.every(({ base }) => base !== null)) return { news: [...given], linked };
  const open = await openCreations(sql, sync.id);
  const sent = columns.filter(isSent);
  const news: KnownNews[] = [];
  for (const one of given) {
    const cells = one.base === null ? firstCells(one) : null;
    const place = cells ? open.findIndex((push) => isCreationOf(sent, push, cells)) : -1;
    const push = open[place];
    if (!push || !cells) {
      news.push(one.base === null && !isPull ? await adopted(sql, sync, columns, one) : one);
      continue;
    }
    if (push.state === 'sending') throw new NotYet('A creation has not been answered yet.');
    open.splice(place, 1);
    linked.add(one.recordId);
    // Nothing is known of it in a pull: so its row becomes what it says.
    news.push({ ...one, base: isPull ? null : cells, rowKey: push.rowKey });
    await sql.query('DELETE FROM sync_writes WHERE id = $1', [push.id]);
    if (isPull) continue;
    // What was changed of the row since it was sent is a change of that record.
    await passToRecord(sql, sync.id, push.rowKey, one.recordId);
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
  if (cells === null || one.rowKey !== null) return one;
  const key = keyGivenBy(sync, columns, cells);
  if (key === null) return one;
  const [owner] = await sql.query<object[]>(
    'SELECT 1 FROM copied_records WHERE sync_id = $1 AND row_key = $2',
    [sync.id, key],
  );
  if (owner) return one;
  const rows = await readRows(sql, sync, [key], { lock: false });
  if (rows.size === 0) return one;
  await sql.query('DELETE FROM sync_pending WHERE sync_id = $1 AND row_key = $2', [sync.id, key]);
  // What the record holds otherwise is the row's from here on.
  if (sync.direction === 'push') await touchRecords(sql, sync.id, [one.recordId]);
  return { ...one, base: {}, rowKey: key };
}

/**
 * The primary key that a record gives its row in a table that was there before; null unless each part of it is mapped, and
 * says something.
 */
export function keyGivenBy(
  sync: Pick<Sync, 'owned' | 'keyColumns'>,
  columns: readonly MappedColumn[],
  cells: Cells,
): string[] | null {
  if (sync.owned) return null;
  const key = sync.keyColumns.map((name) => {
    const column = columns.find((mapped) => mapped.column === name);
    const value = column && columnValue(column, cells[column.fieldId]);
    return typeof value === 'string' || typeof value === 'number' ? String(value) : null;
  });
  return key.every((part) => part !== null) ? key : null;
}
