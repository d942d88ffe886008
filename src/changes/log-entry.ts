import type { Position } from './position.ts';

export const changeKinds = ['created', 'updated', 'deleted'] as const;
export type ChangeKind = (typeof changeKinds)[number];

/** Why changes may be missing from the log. */
export const lossReasons = [
  'webhook_gone',
  'payloads_missing',
  'payload_unreadable',
  'payload_too_large',
  'cursor_pruned',
] as const;
export type LossReason = (typeof lossReasons)[number];

export interface LoggedField {
  id: string;
  /** As the field was called when the change was logged; null when that could not be found out. */
  name: string | null;
  /** Missing when the upstream did not tell it. */
  previous?: unknown;
  current: unknown;
}

export interface Actor {
  id: string;
  name: string | null;
  email: string | null;
}

/** Bounds in time of what may have been lost. */
export interface Loss {
  reason: LossReason;
  /** ISO 8601; null when it is unknown since when. */
  since: string | null;
  until: string;
}

export interface LoggedSchemaChange {
  kind: string;
  tableId: string;
  fieldId: string | null;
  current: Record<string, unknown> | null;
  previous: Record<string, unknown> | null;
}

interface EntryBase {
  position: Position;
  occurredAt: Date;
  source: string;
  actor: Actor | null;
  /** The upstream's transaction; one action may be spread over several payloads of the same number. */
  transaction: number | null;
}

/** One record created, updated or deleted. */
export interface ChangeEntry extends EntryBase {
  kind: ChangeKind;
  tableId: string;
  recordId: string;
  recordCreatedAt: Date | null;
  /** What the change set; empty for deletions. */
  fields: LoggedField[];
  /**
   * All non-empty cells after the change by field id, in the format of the record endpoints; null for deletions, and where
   * they were not told.
   */
  cells: Record<string, unknown> | null;
}

export interface SchemaEntry extends EntryBase {
  kind: 'schema';
  changes: LoggedSchemaChange[];
}

export interface LostEntry extends EntryBase {
  kind: 'lost';
  loss: Loss;
}

/** Entries are shared between all readers of a feed: nobody may change one. */
export type LogEntry = ChangeEntry | SchemaEntry | LostEntry;
