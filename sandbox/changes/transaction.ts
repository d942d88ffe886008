import type { FieldDoc } from '../bases/documents.ts';
import type { User } from '../oauth/grant.ts';

/** Cell values of webhooks (the V2 form), by field id; empty cells are left out, or null where a cell became empty. */
export type CellsByFieldId = Record<string, unknown>;

/** Where a change came from, as `fromSources` of a webhook names it. */
export type ChangeSource =
  | 'client'
  | 'publicApi'
  | 'formSubmission'
  | 'formPageSubmission'
  | 'automation'
  | 'system'
  | 'sync'
  | 'anonymousUser'
  | 'unknown';

/** Everything that one write changed in one base, links on the other side and computed cells included. */
export interface Transaction {
  baseId: string;
  /** Rises by one per transaction of the base, from 1, and survives a restart. */
  number: number;
  /** ISO. */
  timestamp: string;
  source: ChangeSource;
  user: User | null;
  changedTablesById: Record<string, TableChanges>;
  createdTablesById?: Record<string, CreatedTable>;
  destroyedTableIds?: string[];
}

export interface TableChanges {
  createdRecordsById?: Record<string, CreatedRecord>;
  changedRecordsById?: Record<string, ChangedRecord>;
  destroyedRecordIds?: string[];
  createdFieldsById?: Record<string, FieldSummary>;
  changedFieldsById?: Record<string, { current: Partial<FieldSummary>; previous: Partial<FieldSummary> }>;
  destroyedFieldIds?: string[];
  changedMetadata?: { current: TableMetadata; previous: TableMetadata };
}

export interface CreatedRecord {
  /** ISO. */
  createdTime: string;
  /** All non-empty cells. */
  cellValuesByFieldId: CellsByFieldId;
}

export interface ChangedRecord {
  /** The cells that changed, as they are now; null where emptied. */
  current: { cellValuesByFieldId: CellsByFieldId };
  /** The same cells as they were; null where they were empty. */
  previous: { cellValuesByFieldId: CellsByFieldId };
  /** All other non-empty cells. */
  unchanged: { cellValuesByFieldId: CellsByFieldId };
}

export interface FieldSummary {
  name: string;
  type: FieldDoc['type'];
}

export interface TableMetadata {
  name?: string;
  description?: string | null;
}

export interface CreatedTable {
  metadata: { name: string; description: string | null };
  fieldsById: Record<string, FieldSummary>;
  recordsById: Record<string, CreatedRecord>;
}
