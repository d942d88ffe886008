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

/** An entry that was read. */
export type StoredEntry = LogEntry & {
  /** Length of its JSON: about what it takes in memory. */
  bytes: number;
};

export type StoredRow = EntryRow & { bytes: number };

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
  fields: 'json',
  cells: 'json',
  detail: 'json',
};

const names = Object.keys(columns) as (keyof EntryRow)[];

export const entryColumns = names.join(', ');

const listed = Object.entries(columns).map(([name, type]) => `${name} ${type}`);

/** How many parameters the steps below have. */
export const appendingParameters = 2;

/**
 * Steps of a statement that appends, in the order of its locks: first the feed's row. Its first parameters are those of
 * `appendingValues`. `appended` has a row for each entry that was not there before.
 */
export const appendingSteps = `
  feed AS (SELECT id FROM change_feeds WHERE id = $1 FOR UPDATE),
  appended AS (
    INSERT INTO changes (feed_id, ${entryColumns})
    SELECT feed.id, entry.* FROM feed, json_to_recordset($2) AS entry (${listed.join(', ')})
    ON CONFLICT DO NOTHING
    RETURNING 1
  )`;

/**
 * All entries as one JSON text: most of what they hold is JSON already, and to escape it once more in a list for each
 * column, or in parameters of each row, takes this process longer than PostgreSQL takes to read it.
 */
export function appendingValues(feedId: number, entries: readonly LogEntry[]): unknown[] {
  return [feedId, jsonText(entries.map(rowOf))];
}

/** What is left out is NULL. */
function rowOf(entry: LogEntry): Partial<Record<keyof EntryRow, unknown>> {
  const { generation, payload, ordinal } = entry.position;
  const common = {
    generation,
    payload,
    ordinal,
    kind: entry.kind,
    occurred_at: entry.occurredAt,
    source: entry.source,
    actor: entry.actor,
    upstream_transaction: entry.transaction,
  };
  switch (entry.kind) {
    case 'schema':
      return { ...common, fields: [], detail: { changes: entry.changes } };
    case 'lost':
      return { ...common, fields: [], detail: entry.loss };
    default:
      return {
        ...common,
        table_id: entry.tableId,
        record_id: entry.recordId,
        record_created_at: entry.recordCreatedAt,
        fields: entry.fields,
        cells: entry.cells,
      };
  }
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

export function storedEntryFrom(row: StoredRow): StoredEntry {
  return Object.assign(entryFromRow(row), { bytes: row.bytes });
}

export function bytesOfAll(entries: readonly StoredEntry[]): number {
  return entries.reduce((sum, { bytes }) => sum + bytes, 0);
}
