import type { DataSource } from 'typeorm';
import { prunedPosition, type FeedRow, type Sql } from './feed.ts';
import { jsonText } from './json-text.ts';
import type { Actor, ChangeKind, LogEntry, LoggedField, LoggedSchemaChange, Loss } from './log-entry.ts';
import { comparePositions, type Position } from './position.ts';

/** Entries in one read. Bounded since each carries all cells of a record. */
export const maxEntriesPerRead = 500;

/** Rows that one prune deletes in one transaction, so that nobody waits long for the feed's lock. */
const pruneBatchSize = 5_000;

export interface LogPage {
  /** Oldest first. */
  entries: LogEntry[];
  /** Everything up to here is gone: who asked from before it has lost something. */
  pruned: Position;
  prunedUntil: Date | null;
}

export interface EntryFilter {
  tableId?: string | null;
  recordId?: string | null;
  /** Leaves schema changes out. Losses are never left out. */
  recordsOnly?: boolean;
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
    const rows = entries.map(rowOf);
    await sql.query(
      `WITH feed AS (SELECT id FROM change_feeds WHERE id = $1 FOR UPDATE)
       INSERT INTO changes (feed_id, generation, payload, ordinal, kind, table_id, record_id, record_created_at, occurred_at,
                            source, actor, upstream_transaction, fields, cells, detail)
       SELECT feed.id, entry.*
       FROM feed, unnest($2::int[], $3::int[], $4::int[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::timestamptz[],
                         $10::text[], $11::jsonb[], $12::bigint[], $13::jsonb[], $14::jsonb[], $15::jsonb[]) AS entry
       ON CONFLICT DO NOTHING`,
      [feedId, ...columnsOf(rows)],
    );
  }

  /** The position of the newest entry, or of what was pruned last. */
  async head(feedId: number): Promise<Position> {
    const [row] = await this.#database.query<Position[]>(
      `SELECT * FROM (
         (SELECT generation, payload, ordinal FROM changes WHERE feed_id = $1 ORDER BY generation DESC, payload DESC, ordinal DESC LIMIT 1)
         UNION ALL
         SELECT pruned_generation, pruned_payload, pruned_ordinal FROM change_feeds WHERE id = $1
       ) AS place ORDER BY generation DESC, payload DESC, ordinal DESC LIMIT 1`,
      [feedId],
    );
    if (!row) throw new Error(`There is no feed ${feedId}.`);
    return row;
  }

  /** The next entries after a position. Entries and pruned bound come from one snapshot, so neither can miss the other. */
  async read(feedId: number, after: Position, limit: number, filter: EntryFilter = {}): Promise<LogPage> {
    const rows = await this.#database.query<(Partial<EntryRow> & FeedRow)[]>(
      `SELECT entry.*, feed.pruned_generation, feed.pruned_payload, feed.pruned_ordinal, feed.pruned_until
       FROM change_feeds AS feed
       LEFT JOIN LATERAL (
         SELECT * FROM changes
         WHERE feed_id = feed.id AND (generation, payload, ordinal) > ($2, $3, $4)
           AND ($6::text IS NULL OR table_id = $6 OR kind = 'lost') AND ($7::text IS NULL OR record_id = $7 OR kind = 'lost')
           AND ($8 = false OR kind <> 'schema')
         ORDER BY generation, payload, ordinal LIMIT $5
       ) AS entry ON true
       WHERE feed.id = $1
       ORDER BY entry.generation, entry.payload, entry.ordinal`,
      [
        feedId,
        after.generation,
        after.payload,
        after.ordinal,
        limit,
        filter.tableId ?? null,
        filter.recordId ?? null,
        filter.recordsOnly ?? false,
      ],
    );
    const [first] = rows;
    if (!first) throw new Error(`There is no feed ${feedId}.`);
    return {
      entries: rows.filter((row): row is EntryRow & FeedRow => row.kind != null).map(entryFromRow),
      pruned: prunedPosition(first),
      prunedUntil: first.pruned_until,
    };
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
      `SELECT id FROM change_feeds AS feed WHERE EXISTS
         (SELECT 1 FROM changes WHERE feed_id = feed.id AND logged_at < now() - make_interval(days => $1))`,
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

interface EntryRow {
  generation: number;
  payload: number;
  ordinal: number;
  kind: ChangeKind | 'schema' | 'lost';
  table_id: string | null;
  record_id: string | null;
  record_created_at: Date | null;
  occurred_at: Date;
  source: string;
  actor: Actor | null;
  upstream_transaction: string | null;
  fields: LoggedField[];
  cells: Record<string, unknown> | null;
  detail: { changes: LoggedSchemaChange[] } | Loss | null;
}

function entryFromRow(row: EntryRow): LogEntry {
  const common = {
    position: { generation: row.generation, payload: row.payload, ordinal: row.ordinal },
    occurredAt: row.occurred_at,
    source: row.source,
    actor: row.actor,
    transaction: row.upstream_transaction === null ? null : Number(row.upstream_transaction),
  };
  switch (row.kind) {
    case 'schema':
      return {
        ...common,
        kind: 'schema',
        changes: (row.detail as { changes: LoggedSchemaChange[] }).changes,
      };
    case 'lost':
      return { ...common, kind: 'lost', loss: row.detail as Loss };
    default:
      return {
        ...common,
        kind: row.kind,
        tableId: row.table_id ?? '',
        recordId: row.record_id ?? '',
        recordCreatedAt: row.record_created_at,
        fields: row.fields,
        cells: row.cells,
      };
  }
}

type Column = string | number | Date | null;

function rowOf(entry: LogEntry): Column[] {
  const change = entry.kind === 'schema' || entry.kind === 'lost' ? null : entry;
  const detail =
    entry.kind === 'schema' ? { changes: entry.changes } : entry.kind === 'lost' ? entry.loss : null;
  const { generation, payload, ordinal } = entry.position;
  return [
    generation,
    payload,
    ordinal,
    entry.kind,
    change?.tableId ?? null,
    change?.recordId ?? null,
    change?.recordCreatedAt ?? null,
    entry.occurredAt,
    entry.source,
    entry.actor && jsonText(entry.actor),
    entry.transaction,
    jsonText(change?.fields ?? []),
    change?.cells ? jsonText(change.cells) : null,
    detail && jsonText(detail),
  ];
}

function columnsOf(rows: Column[][]): Column[][] {
  return (rows[0] ?? []).map((_, column) => rows.map((row) => row[column] ?? null));
}
