import type { Sql } from '../../database/sql.ts';
import { jsonText } from '../../changes/json-text.ts';
import type { CellConflict } from './merge.ts';
import type { MergedRecord } from './record-merge.ts';
import type { Sync } from '../sync.ts';

/** Conflicts that are kept per sync, the newest. */
export const maxConflicts = 10_000;
/** How long a conflict is kept, in days. */
export const conflictRetentionDays = 90;

export type ConflictKind = 'cell' | 'deleted_by_omnera' | 'deleted_by_calendly';

/** Where both sides had changed the same, and who won. */
export interface SyncConflict {
  /** Rises with time. */
  id: string;
  kind: ConflictKind;
  recordId: string;
  fieldId: string | null;
  fieldName: string | null;
  /** Of a deletion the cells that the other side had changed, by field id; null for the side that deleted. */
  calendlyValue: unknown;
  omneraValue: unknown;
  winner: 'calendly' | 'omnera';
  at: Date;
}

/** In the transaction that decides them. */
export async function listConflicts(
  sql: Sql,
  sync: Sync,
  merged: readonly { recordId: string; result: MergedRecord }[],
  now: Date,
): Promise<void> {
  const winner = sync.conflicts === 'calendly_wins' ? 'calendly' : 'omnera';
  const rows = merged.flatMap(({ recordId, result: { conflicts, deletions } }) => [
    ...conflicts.map(({ column, calendly, omnera }) => ({
      kind: 'cell',
      record: recordId,
      field: column.fieldId,
      name: column.fieldName,
      calendly,
      omnera,
    })),
    ...deletions.map(({ kind, cells }) => ({
      kind,
      record: recordId,
      field: null,
      name: null,
      calendly: kind === 'deleted_by_calendly' ? null : valuesOf(cells, 'calendly'),
      omnera: kind === 'deleted_by_omnera' ? null : valuesOf(cells, 'omnera'),
    })),
  ]);
  if (rows.length === 0) return;
  await sql.query(
    `INSERT INTO sync_conflicts (sync_id, kind, record_id, field_id, field_name, calendly_value, omnera_value, winner, at)
     SELECT $1, c.kind, c.record, c.field, c.name, c.calendly, c.omnera, $3, $4
     FROM jsonb_to_recordset($2::jsonb) AS c(kind text, record text, field text, name text, calendly jsonb, omnera jsonb)`,
    [sync.id, jsonText(rows), winner, now],
  );
}

/** Newest first, older than one of them. */
export async function readConflicts(
  sql: Sql,
  syncId: string,
  { before, limit }: { before: string | null; limit: number },
): Promise<SyncConflict[]> {
  return sql.query(
    `SELECT id, kind, record_id AS "recordId", field_id AS "fieldId", field_name AS "fieldName", calendly_value AS "calendlyValue",
            omnera_value AS "omneraValue", winner, at
     FROM sync_conflicts WHERE sync_id = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`,
    [syncId, before, limit],
  );
}

/** Any number of instances may do so at once. */
export async function pruneConflicts(sql: Sql, now: Date): Promise<void> {
  await sql.query(`DELETE FROM sync_conflicts WHERE at < $1::timestamptz - make_interval(days => $2)`, [
    now,
    conflictRetentionDays,
  ]);
  await sql.query(
    `DELETE FROM sync_conflicts AS c USING syncs AS s,
       LATERAL (SELECT id FROM sync_conflicts WHERE sync_id = s.id ORDER BY id DESC OFFSET $1 LIMIT 1) AS last
     WHERE c.sync_id = s.id AND c.id <= last.id`,
    [maxConflicts],
  );
}

function valuesOf(cells: readonly CellConflict[], side: 'calendly' | 'omnera'): Record<string, unknown> {
  return Object.fromEntries(cells.map((cell) => [cell.column.fieldId, cell[side]]));
}
