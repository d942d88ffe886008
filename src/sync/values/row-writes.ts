import type { Position } from '../../changes/position.ts';
import type { ChangeEntry } from '../../changes/log-entry.ts';
import { projectionOf } from './column-types.ts';
import { livingColumns, type Sync } from '../sync.ts';

/** By field id, in the format of the record endpoints; empty ones are missing. */
export type Cells = Readonly<Record<string, unknown>>;

/** What became known of one record. */
export interface RecordNews {
  recordId: string;
  /** Null for a deletion, and where it is not told because the record is known. */
  createdTime: Date | null;
  /** The record as it is now; null when it is gone. */
  cells: Cells | null;
  changedAt: Date;
  /** The entries that told it, oldest first; empty when it was read. */
  entries: readonly ChangeEntry[];
  /** Of the last entry; null when it was read. */
  position: Position | null;
}

/** The same with what was known before. */
export interface KnownNews extends RecordNews {
  /** Null for a record that was not known. */
  base: Cells | null;
  /** The primary key of its row in the target; null while it has none. */
  rowKey: string[] | null;
}

/** What is to be done with the row of one record. */
export type RowWrite =
  | { kind: 'none'; news: KnownNews }
  /**
   * All mapped columns, or those of the fields in `only`, get the values of the cells; a row that is not there is made with
   * all of them.
   */
  | { kind: 'put'; news: KnownNews; cells: Cells; only?: readonly string[] }
  | { kind: 'delete'; news: KnownNews; rowKey: string[] };

/**
 * Decides what the rows of the target become by news of their records. In a pull
 * the upstream always wins; a row is only written where a mapped value has changed, or when it has to be written anyway.
 * @param always whether rows are written although no mapped value has changed, which undoes what was done to them here
 */
export function decideRowWrites(
  sync: Sync,
  news: readonly KnownNews[],
  { always }: { always: boolean },
): RowWrite[] {
  const columns = livingColumns(sync);
  return news.map((one): RowWrite => {
    const { cells, base, rowKey } = one;
    if (cells === null)
      return rowKey === null ? { kind: 'none', news: one } : { kind: 'delete', news: one, rowKey };
    const isSame =
      base !== null && rowKey !== null && projectionOf(columns, base) === projectionOf(columns, cells);
    return isSame && !always ? { kind: 'none', news: one } : { kind: 'put', news: one, cells };
  });
}
