import { jsonText } from './json-text.ts';
import type { Actor, ChangeKind, LogEntry, LoggedField, LoggedSchemaChange, Loss } from './log-entry.ts';

/** An entry as the log's table has it, apart from its feed. */
export interface EntryRow {
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

/** Names and types of its columns. */
const columns: Readonly<Record<keyof EntryRow, string>> = {
  generation: 'integer',
  payload: 'integer',
  ordinal: 'integer',
  kind: 'text',
  table_id: 'text',
  record_id: 'text',
  record_created_at: 'timestamptz',
  occurred_at: 'timestamptz',
  source: 'text',
  actor: 'json',
  upstream_transaction: 'bigint',
  fields: 'jsonb',
  cells: 'json',
  detail: 'json',
};

const names = Object.keys(columns) as (keyof EntryRow)[];

export const entryColumns = names.join(', ');

const lists = Object.values(columns).map((type, index) => `$${index + 2}::${type}[]`);

/** How many parameters the steps below have. */
export const appendingParameters = 1 + lists.length;

/**
 * Steps of a statement that appends, in the order of its locks: first the feed's row. Its first parameters are those of
 * `appendingValues`. `appended` has a row for each entry that was not there before.
 */
export const appendingSteps = `
  feed AS (SELECT id FROM change_feeds WHERE id = $1 FOR UPDATE),
  appended AS (
    INSERT INTO changes (feed_id, ${entryColumns})
    SELECT feed.id, entry.* FROM feed, unnest(${lists.join(', ')}) AS entry
    ON CONFLICT DO NOTHING
    RETURNING 1
  )`;

/** A list for each column costs PostgreSQL least: less than a row of parameters for each entry, or all of them as JSON. */
export function appendingValues(feedId: number, entries: readonly LogEntry[]): unknown[] {
  const rows = entries.map(rowOf);
  return [feedId, ...names.map((name) => rows.map((row) => row[name]))];
}

type Cell = string | number | Date | null;

function rowOf(entry: LogEntry): Record<keyof EntryRow, Cell> {
  const change = entry.kind === 'schema' || entry.kind === 'lost' ? null : entry;
  const detail =
    entry.kind === 'schema' ? { changes: entry.changes } : entry.kind === 'lost' ? entry.loss : null;
  return {
    ...entry.position,
    kind: entry.kind,
    table_id: change?.tableId ?? null,
    record_id: change?.recordId ?? null,
    record_created_at: change?.recordCreatedAt ?? null,
    occurred_at: entry.occurredAt,
    source: entry.source,
    actor: entry.actor && jsonText(entry.actor),
    upstream_transaction: entry.transaction,
    fields: jsonText(change?.fields ?? []),
    cells: change?.cells ? jsonText(change.cells) : null,
    detail: detail && jsonText(detail),
  };
}

export function entryFromRow(row: EntryRow): LogEntry {
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
