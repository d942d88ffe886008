import type { PreparedStatement } from '../database/prepared.ts';
import { entryColumns } from './entry-rows.ts';
import { prunedPosition, type FeedRow } from './feed.ts';
import type { LogEntry } from './log-entry.ts';
import type { Position } from './position.ts';

/** Entries in one read. */
export const maxEntriesPerRead = 500;

/** JSON of entries in one read, since each carries all cells of a record. The entry that goes beyond it is its last. */
export const maxBytesPerRead = 4_000_000;

/**
 * Entries in a read of what is new, of which there is seldom more than one. To add up their bytes would take a third of its
 * time.
 */
export const maxNewEntriesPerRead = 50;

export interface LogPage<Entry extends LogEntry = LogEntry> {
  /** Oldest first. */
  entries: Entry[];
  /** Everything up to here is gone: who asked from before it has lost something. */
  pruned: Position;
  prunedUntil: Date | null;
  /**
   * It ends for its bound rather than at the end of the log, so there may be more behind it. A part of it up to its end
   * says the same.
   */
  hasMore: boolean;
}

type PrunedRow = Pick<FeedRow, 'pruned_generation' | 'pruned_payload' | 'pruned_ordinal' | 'pruned_until'>;

/** Entries of $1, and from the same snapshot what was pruned, so neither can miss the other. */
const page = (entries: string): string => `
  SELECT entry.*, feed.pruned_generation, feed.pruned_payload, feed.pruned_ordinal, feed.pruned_until
  FROM change_feeds AS feed
  LEFT JOIN LATERAL (${entries}) AS entry ON true
  WHERE feed.id = $1
  ORDER BY entry.generation, entry.payload, entry.ordinal`;

/** Those after the position ($2, $3, $4). */
const next = (columns: string, limit: number | string, condition = 'true'): string => `
    SELECT ${columns} FROM changes
    WHERE feed_id = feed.id AND (generation, payload, ordinal) > ($2, $3, $4) AND ${condition}
    ORDER BY generation, payload, ordinal LIMIT ${limit}`;

/** Length of the JSON in a column. What is stored as it is need not be fetched for it. */
const bytesOf = (column: string): string =>
  `CASE WHEN pg_column_compression(${column}) IS NULL THEN coalesce(pg_column_size(${column}), 0) ELSE octet_length(${column}::text) END`;

const columnsAndBytes = `${entryColumns}, ${bytesOf('fields')} + ${bytesOf('cells')} AS bytes`;

/** Everybody who comes back to a feed waits for it. */
export const readPage: PreparedStatement = {
  name: 'read-log',
  text: page(`
    SELECT ${entryColumns}, bytes FROM (
      SELECT *, sum(bytes) OVER (ORDER BY generation, payload, ordinal ROWS UNBOUNDED PRECEDING) AS bytes_so_far
      FROM (${next(columnsAndBytes, maxEntriesPerRead)}) AS next
    ) AS counted WHERE bytes_so_far - bytes < ${maxBytesPerRead}`),
};

/** Everybody who follows a feed waits for it. */
export const readNewPage: PreparedStatement = {
  name: 'read-new-log',
  text: page(next(columnsAndBytes, maxNewEntriesPerRead)),
};

export const listPage = page(
  next(
    entryColumns,
    '$5',
    `kind <> 'schema' AND ($6::text IS NULL OR table_id = $6 OR kind = 'lost') AND ($7::text IS NULL OR record_id = $7 OR kind = 'lost')`,
  ),
);

/** A row without an entry stands for there being none. */
export type PageRow<Row> = PrunedRow & (Row | { kind: null });

export function entriesFrom<Row extends { kind: string }, Entry>(
  rows: readonly PageRow<Row>[],
  entryFrom: (row: Row) => Entry,
): Entry[] {
  return rows.filter((row): row is PrunedRow & Row => row.kind !== null).map(entryFrom);
}

export function prunedFrom([first]: readonly PrunedRow[]): Pick<LogPage, 'pruned' | 'prunedUntil'> {
  if (!first) throw new Error('There is no such feed.');
  return { pruned: prunedPosition(first), prunedUntil: first.pruned_until };
}
