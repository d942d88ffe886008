import type { DataSource } from 'typeorm';
import { runPrepared } from '../database/prepared.ts';
import {
  appendingSteps,
  appendingValues,
  bytesOfAll,
  entryFromRow,
  storedEntryFrom,
  type EntryRow,
  type StoredEntry,
  type StoredRow,
} from './entry-rows.ts';
import type { Sql } from '../database/sql.ts';
import type { LogEntry } from './log-entry.ts';
import {
  entriesFrom,
  listPage,
  maxBytesPerRead,
  maxEntriesPerRead,
  maxNewEntriesPerRead,
  prunedFrom,
  readNewPage,
  readPage,
  type LogPage,
  type PageRow,
} from './log-page.ts';
import { comparePositions, type Position } from './position.ts';

/** The position of the newest entry of `feed`, or of what was pruned last. */
export const headPlace = `
  SELECT * FROM (
    (SELECT generation, payload, ordinal FROM changes WHERE feed_id = feed.id ORDER BY generation DESC, payload DESC, ordinal DESC LIMIT 1)
    UNION ALL
    SELECT feed.pruned_generation, feed.pruned_payload, feed.pruned_ordinal
  ) AS places ORDER BY generation DESC, payload DESC, ordinal DESC LIMIT 1`;

/** Rows that one prune deletes in one transaction, so that nobody waits long for the feed's lock. */
const pruneBatchSize = 5_000;

/** Losses are never left out. */
export interface EntryFilter {
  tableId?: string | null;
  recordId?: string | null;
}

/**
 * The log of all feeds: appended in the order of positions under the feed's row lock, so what is visible never has a
 * hole that fills up later, and a reader need only remember its last position.
 */
export class ChangeLog {
  readonly #database: DataSource;

  constructor(database: DataSource) {
    this.#database = database;
  }

  /**
   * Appends in the caller's transaction. Positions must lie beyond the feed's head; an entry whose position is there
   * already is the same entry read twice, and left as it is.
   */
  async append(sql: Sql, feedId: number, entries: readonly LogEntry[]): Promise<void> {
    if (entries.length === 0) return;
    await sql.query(`WITH ${appendingSteps} SELECT count(*) FROM appended`, appendingValues(feedId, entries));
  }

  /** The position of the newest entry, or of what was pruned last. */
  async head(feedId: number): Promise<Position> {
    const [row] = await this.#database.query<Position[]>(
      `SELECT place.* FROM change_feeds AS feed CROSS JOIN LATERAL (${headPlace}) AS place WHERE feed.id = $1`,
      [feedId],
    );
    if (!row) throw new Error(`There is no feed ${feedId}.`);
    return row;
  }

  /** The next entries after a position, `maxEntriesPerRead` and about `maxBytesPerRead` at most. */
  async read(feedId: number, after: Position): Promise<LogPage<StoredEntry>> {
    const { generation, payload, ordinal } = after;
    const values = [feedId, generation, payload, ordinal];
    const rows = await runPrepared<PageRow<StoredRow>>(this.#database, readPage, values);
    const entries = entriesFrom(rows, storedEntryFrom);
    const isFull = entries.length === maxEntriesPerRead || bytesOfAll(entries) >= maxBytesPerRead;
    return { entries, ...prunedFrom(rows), hasMore: isFull };
  }

  /** The same of entries that are new, of which few are expected: `maxNewEntriesPerRead` at most. */
  async readNew(feedId: number, after: Position): Promise<LogPage<StoredEntry>> {
    const { generation, payload, ordinal } = after;
    const values = [feedId, generation, payload, ordinal];
    const rows = await runPrepared<PageRow<StoredRow>>(this.#database, readNewPage, values);
    const entries = entriesFrom(rows, storedEntryFrom);
    return { entries, ...prunedFrom(rows), hasMore: entries.length === maxNewEntriesPerRead };
  }

  /** The same of some records, so many at most, without changes of the schema. */
  async list(feedId: number, after: Position, limit: number, filter: EntryFilter): Promise<LogPage> {
    const { generation, payload, ordinal } = after;
    const { tableId = null, recordId = null } = filter;
    const values = [feedId, generation, payload, ordinal, limit, tableId, recordId];
    const rows = await this.#database.query<PageRow<EntryRow>[]>(listPage, values);
    const entries = entriesFrom(rows, entryFromRow);
    return { entries, ...prunedFrom(rows), hasMore: entries.length === limit };
  }

  /** What happened to one record, newest first, before a position or at any time. */
  async historyOf(
    feedId: number,
    recordId: string,
    before: Position | null,
    limit: number,
  ): Promise<LogEntry[]> {
    const rows = await this.#database.query<EntryRow[]>(
      `SELECT * FROM changes WHERE feed_id = $1 AND record_id = $2
         AND ($4::integer IS NULL OR (generation, payload, ordinal) < ($4, $5, $6))
       ORDER BY generation DESC, payload DESC, ordinal DESC LIMIT $3`,
      [feedId, recordId, limit, before?.generation ?? null, before?.payload ?? null, before?.ordinal ?? null],
    );
    return rows.map(entryFromRow);
  }

  /**
   * Deletes what was logged more than `retentionDays` ago, the oldest positions first, a batch at a time, and moves
   * each feed's pruned bound along. Any number of instances may do so at once.
   * @returns How many entries are gone.
   */
  async prune(retentionDays: number): Promise<number> {
    const feeds = await this.#database.query<{ id: number }[]>(
      `SELECT id FROM change_feeds AS feed
       WHERE (SELECT logged_at FROM changes WHERE feed_id = feed.id ORDER BY generation, payload, ordinal LIMIT 1)
             < now() - make_interval(days => $1)`,
      [retentionDays],
    );
    let total = 0;
    for (const { id } of feeds) {
      for (let deleted = pruneBatchSize; deleted === pruneBatchSize; total += deleted) {
        deleted = await this.#pruneBatch(id, retentionDays);
      }
    }
    return total;
  }

  async #pruneBatch(feedId: number, retentionDays: number): Promise<number> {
    return this.#database.transaction(async (sql) => {
      await sql.query('SELECT 1 FROM change_feeds WHERE id = $1 FOR UPDATE', [feedId]);
      const [bound] = await sql.query<(Position & { until: Date; count: string })[]>(
        `SELECT generation, payload, ordinal, max(logged_at) OVER () AS until, count(*) OVER () AS count FROM (
           SELECT * FROM (
             SELECT generation, payload, ordinal, logged_at FROM changes WHERE feed_id = $1
             ORDER BY generation, payload, ordinal LIMIT $3
           ) AS oldest WHERE logged_at < now() - make_interval(days => $2)
         ) AS expired ORDER BY generation DESC, payload DESC, ordinal DESC LIMIT 1`,
        [feedId, retentionDays, pruneBatchSize],
      );
      if (!bound) return 0;
      const { generation, payload, ordinal, until, count } = bound;
      await sql.query(
        'DELETE FROM changes WHERE feed_id = $1 AND (generation, payload, ordinal) <= ($2, $3, $4)',
        [feedId, generation, payload, ordinal],
      );
      await sql.query(
        `UPDATE change_feeds SET pruned_generation = $2, pruned_payload = $3, pruned_ordinal = $4,
                pruned_until = greatest(pruned_until, $5) WHERE id = $1`,
        [feedId, generation, payload, ordinal, until],
      );
      return Number(count);
    });
  }
}

/** Whether someone who knows everything up to `after` has missed entries that are pruned by now. */
export function isPruned(after: Position, pruned: Position): boolean {
  return comparePositions(after, pruned) < 0;
}
