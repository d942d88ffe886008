import type { Position } from '../changes/position.ts';
import { AppError } from '../errors.ts';

/*
 * A sync keeps a PostgreSQL table in step with a table of the upstream.
 *
 *   filling ── the whole table was read, and the log is applied up to its end ──> live
 *   filling, live ── pauseSync; connection, base, upstream table or target away ──> paused
 *   paused ── resumeSync; or by itself, once what was away is back ──> filling (if as_of is null), live
 *
 * While it is live the log of the base is applied to it, and now and then the whole table is read again beside that (a
 * reconcile), which finds what differs. One instance at a time works at a sync: it holds a lease on the sync's row, and
 * every transaction locks that row and looks whether the lease is still its own. Locks are taken in this order: the row of
 * the sync, copied records by their id, rows of the target.
 */

export const directions = ['pull', 'push', 'two_way'] as const;
export type Direction = (typeof directions)[number];

export const conflictPolicies = ['calendly_wins', 'omnera_wins'] as const;
export type ConflictPolicy = (typeof conflictPolicies)[number];

export type SyncState = 'filling' | 'live' | 'paused';
export type RunKind = 'fill' | 'reconcile';
/** Why the whole table is to be read again. */
export type RereadReason = 'CHANGES_LOST' | 'FIELDS_CHANGED' | 'BY_HAND' | 'DUE';

/** Why a sync stands still. */
export const syncPauseReasons = {
  BY_HAND: 'Somebody paused it; `resumeSync` sets it going.',
  CONNECTION_AWAY:
    'Its connection is not connected. It goes on by itself once the connection is connected again.',
  BASE_OUT_OF_REACH:
    'Its connection may not follow the base any more. It goes on by itself once the base is granted again.',
  TABLE_GONE: 'The table was deleted upstream. It goes on by itself should the table come back.',
  RECORDS_MISSING:
    'Most records of the table are missing upstream, without the change log having told of it. Nothing was deleted; `resumeSync` deletes the rows of those that are still missing then.',
  TARGET_GONE:
    'The target table, or a column of it, is gone or can not be written. `problem` names it; it goes on by itself once that is mended.',
} as const;
export type SyncPauseReason = keyof typeof syncPauseReasons;

/** What only a person can decide: such a sync does not go on by itself. */
export const resumedByHand: readonly SyncPauseReason[] = ['BY_HAND', 'RECORDS_MISSING'];

/** One field and the column that it goes to. */
export interface MappedColumn {
  fieldId: string;
  /** As the field was called when its schema was last read. */
  fieldName: string;
  /** The upstream's word. */
  fieldType: string;
  /** For computed fields the type of their result, where the upstream tells it; else `fieldType`. */
  valueType: string;
  computed: boolean;
  column: string;
  /** As PostgreSQL spells it, with its modifier. */
  columnType: string;
  /**
   * ISO 8601; when the field was found to be gone, or to have become one of another type. Its column keeps what it has.
   * Null while it is written to.
   */
  goneAt: string | null;
  /** Of a column that is gone because its field has become one of another type: it is never written again. */
  keptAside?: boolean;
}

export interface Sync {
  /** A UUID. */
  id: string;
  connectionId: number;
  baseId: string;
  tableId: string;
  direction: Direction;
  conflicts: ConflictPolicy;
  targetSchema: string;
  targetTable: string;
  /** Whether the target was made by us, and follows the upstream's fields. */
  owned: boolean;
  /** The primary key of the target, in its order, and the types of its columns. */
  keyColumns: string[];
  keyTypes: string[];
  /** PostgreSQL's number of the table when it was last worked at; null before. */
  targetOid: number | null;
  columns: MappedColumn[];
  state: SyncState;
  pausedBecause: SyncPauseReason | null;
  problem: string | null;
  /** What keeps it from going on at the moment, in words, while it tries again and again. */
  waitsFor: string | null;
  feedId: number;
  /** All entries of the feed's log up to here have been applied. */
  position: Position;
  asOf: Date | null;
  run: number;
  runKind: RunKind | null;
  runBecause: RereadReason | null;
  runStartedAt: Date | null;
  runFinishedAt: Date | null;
  runExpected: number | null;
  runCalls: number;
  rereadBecause: RereadReason | null;
  /** Somebody has seen that much of the table is missing upstream, and lets that be deleted here. */
  lossAccepted: boolean;
  schemaOutdated: boolean;
  rowsOutdated: boolean;
  driftFound: number | null;
  changedAt: Date | null;
  createdBy: string;
  createdAt: Date;
  updatedAt: Date;
}

export type SyncRow = Omit<Sync, 'position'> & Position;

export const syncColumns = `s.id, s.connection_id AS "connectionId", s.base_id AS "baseId", s.table_id AS "tableId", s.direction, s.conflicts,
  s.target_schema AS "targetSchema", s.target_table AS "targetTable", s.owned, s.key_columns AS "keyColumns", s.key_types AS "keyTypes",
  s.target_oid AS "targetOid", s.columns, s.state, s.paused_because AS "pausedBecause", s.problem, s.waits_for AS "waitsFor", s.feed_id AS "feedId", s.generation, s.payload, s.ordinal,
  s.as_of AS "asOf", s.run, s.run_kind AS "runKind", s.run_because AS "runBecause", s.run_started_at AS "runStartedAt",
  s.run_finished_at AS "runFinishedAt", s.run_expected AS "runExpected", s.run_calls AS "runCalls", s.reread_because AS "rereadBecause",
  s.loss_accepted AS "lossAccepted", s.schema_outdated AS "schemaOutdated", s.rows_outdated AS "rowsOutdated", s.drift_found AS "driftFound", s.changed_at AS "changedAt", s.created_by AS "createdBy",
  s.created_at AS "createdAt", s.updated_at AS "updatedAt"`;

export function syncFromRow({ generation, payload, ordinal, ...row }: SyncRow): Sync {
  return { ...row, position: { generation, payload, ordinal } };
}

/** The columns that are written to. */
export function livingColumns({ columns }: Pick<Sync, 'columns'>): MappedColumn[] {
  return columns.filter(({ goneAt }) => goneAt === null);
}

/** As people write it, such as `crm.contacts`. */
export function targetName({
  targetSchema,
  targetTable,
}: Pick<Sync, 'targetSchema' | 'targetTable'>): string {
  return `${targetSchema}.${targetTable}`;
}

export function syncNotFound(id: string): AppError {
  return new AppError(
    'SYNC_NOT_FOUND',
    `There is no sync ${id.slice(0, 60)}, or your key may not see it. The query "syncs" lists the ones you can use.`,
  );
}
