import type { DataSource } from 'typeorm';
import { runPrepared, type PreparedStatement } from '../database/prepared.ts';
import { appendingSteps, appendingValues, entryColumns, entryFromRow, type EntryRow } from './entry-rows.ts';
import { prunedPosition, type FeedRow, type Sql } from './feed.ts';
import type { LogEntry } from './log-entry.ts';
import { comparePositions, type Position } from './position.ts';

/** Entries in one read. Bounded since each carries all cells of a record. */
export const maxEntriesPerRead = 500;

/** The position of the newest entry of `feed`, or of what was pruned last. */
export const headPlace = `
  SELECT * FROM (
    (SELECT generation, payload, ordinal FROM changes WHERE feed_id = feed.id ORDER BY generation DESC, payload DESC, ordinal DESC LIMIT 1)
    UNION ALL
    SELECT feed.pruned_generation, feed.pruned_payload, feed.pruned_ordinal
  ) AS places ORDER BY generation DESC, payload DESC, ordinal DESC LIMIT 1`;

type PrunedRow = Pick<FeedRow, 'pruned_generation' | 'pruned_payload' | 'pruned_ordinal' | 'pruned_until'>;

/** The entries of $1 after the position ($2, $3, $4), and from the same snapshot what was pruned, so neither can miss the other. */
const page = (condition: string, limit: number | string): string => `
  SELECT entry.*, feed.pruned_generation, feed.pruned_payload, feed.pruned_ordinal, feed.pruned_until
  FROM change_feeds AS feed
  LEFT JOIN LATERAL (
    SELECT ${entryColumns} FROM changes
    WHERE feed_id = feed.id AND (generation, payload, ordinal) > ($2, $3, $4) AND ${condition}
    ORDER BY generation, payload, ordinal LIMIT ${limit}
  ) AS entry ON true
  WHERE feed.id = $1
  ORDER BY entry.generation, entry.payload, entry.ordinal`;

/** Everybody who follows a feed waits for it. */
const readPage: PreparedStatement = { name: 'read-log', text: page('true', maxEntriesPerRead) };

const listPage = page(
  `kind <> 'schema' AND ($6::text IS NULL OR table_id = $6 OR kind = 'lost') AND ($7::text IS NULL OR record_id = $7 OR kind = 'lost')`,
  '$5',
);

/** Rows that one prune deletes in one transaction, so that nobody waits long for the feed's lock. */
const pruneBatchSize = 5_000;

export interface LogPage {
  /** Oldest first. */
  entries: LogEntry[];
  /** Everything up to here is gone: who asked from before it has lost something. */
  pruned: Position;
  prunedUntil: Date | null;
  /** It ends for its bound rather than at the end of the log, so there is more behind it. A part of it up to its end says the same. */
  hasMore: boolean;
}

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

  /** The next entries after a position, `maxEntriesPerRead` at most. */
  async read(feedId: number, after: Position): Promise<LogPage> {
    const { generation, payload, ordinal } = after;
    const values = [feedId, generation, payload, ordinal];
    return pageFrom(await runPrepared(this.#database, readPage, values), maxEntriesPerRead);
  }

  /** The same of some records, so many at most, without changes of the schema. */
  async list(feedId: number, after: Position, limit: number, filter: EntryFilter): Promise<LogPage> {
    const { generation, payload, ordinal } = after;
    const { tableId = null, recordId = null } = filter;
    const values = [feedId, generation, payload, ordinal, limit, tableId, recordId];
    return pageFrom(await this.#database.query(listPage, values), limit);
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

function pageFrom(rows: (Partial<EntryRow> & PrunedRow)[], limit: number): LogPage {
  const [first] = rows;
  if (!first) throw new Error('There is no such feed.');
  const entries = rows.filter((row): row is EntryRow & PrunedRow => row.kind != null).map(entryFromRow);
  return {
    entries,
    pruned: prunedPosition(first),
    prunedUntil: first.pruned_until,
    hasMore: entries.length === limit,
  };
}
