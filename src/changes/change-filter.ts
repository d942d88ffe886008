import { AppError } from '../errors.ts';
import type { ChangeEntry, ChangeKind, LogEntry, LoggedSchemaChange } from './log-entry.ts';
import { comparePositions, type Position } from './position.ts';

/** All given conditions must hold. Schema changes and losses concern everybody and pass always. */
export interface ChangeFilter {
  tableId?: string | null;
  recordIds?: ReadonlySet<string> | null;
  kinds?: ReadonlySet<ChangeKind> | null;
  /**
   * Ids of fields, one of which an update must have changed; creations and deletions concern all fields, and so does
   * leaving what `cells` lets through.
   */
  fieldIds?: ReadonlySet<string> | null;
  cells?: CellFilter | null;
}

/** What the cells of a record must be like, in the one table that `tableId` names. */
export interface CellFilter {
  /** The fields that it looks at, by id, as they were when it was checked against the table. */
  fields: ReadonlyMap<string, { name: string; type: string }>;
  /** Whatever the schema of up to here had in it, the check has seen. */
  checkedAt: Position;
  /**
   * @param isComplete whether a cell that is missing is empty, and not merely unknown
   * @returns null when what is known of the record can't tell
   */
  passes: (cells: Readonly<Record<string, unknown>>, isComplete: boolean) => boolean | null;
  /** The same text for filters that let the same through, and no other. */
  toJSON: () => string;
}

/**
 * Whether a subscriber is told of an entry: as it is, or as the change with which the record left the filter.
 *
 * The log has all cells after a change and what the changed ones were before, so how the record stood before it is
 * known from the change alone: a record leaves with exactly one change, whoever listens, and from whatever cursor.
 * Where the log can't tell, the change is told: whoever keeps a record too many can look at it, one too few is lost.
 */
export function toldAs(entry: LogEntry, filter: ChangeFilter): 'told' | 'left' | null {
  if (entry.kind === 'schema' || entry.kind === 'lost') return 'told';
  if (filter.tableId && entry.tableId !== filter.tableId) return null;
  if (filter.recordIds && !filter.recordIds.has(entry.recordId)) return null;
  if (filter.kinds && !filter.kinds.has(entry.kind)) return null;
  const told = filter.cells ? standing(entry, filter.cells) : 'told';
  const { fieldIds } = filter;
  if (told !== 'told' || !fieldIds || entry.kind !== 'updated') return told;
  return entry.fields.some(({ id }) => fieldIds.has(id)) ? told : null;
}

function standing(entry: ChangeEntry, filter: CellFilter): 'told' | 'left' | null {
  if (entry.kind === 'deleted') return 'told';
  const isComplete = entry.cells !== null;
  const after = entry.cells ?? Object.fromEntries(entry.fields.map(({ id, current }) => [id, current]));
  if (filter.passes(after, isComplete) !== false) return 'told';
  if (entry.kind === 'created' || !entry.fields.some(({ id }) => filter.fields.has(id))) return null;
  const before = { ...after };
  for (const { id, previous } of entry.fields) before[id] = previous;
  const isTold = entry.fields.every(({ previous }) => previous !== undefined);
  return filter.passes(before, isComplete && isTold) === false ? null : 'left';
}

/**
 * The end of a filter whose table or fields have been deleted or made into others since it was checked; null for entries
 * that leave it what it was. Fields are followed by id, so what they are called does not matter.
 */
export function outdatedBy(entry: LogEntry, filter: ChangeFilter): AppError | null {
  const obsolete = obsoleteBy(entry, filter);
  return obsolete && outdated(obsolete.what, obsolete.field === null ? {} : { field: obsolete.field });
}

/** The same for whoever says it in other words. @returns what became of what the filter looks at */
export function obsoleteBy(
  entry: LogEntry,
  { tableId, cells }: ChangeFilter,
): { what: string; field: string | null } | null {
  if (!cells || entry.kind !== 'schema' || comparePositions(entry.position, cells.checkedAt) <= 0)
    return null;
  for (const change of entry.changes) {
    if (change.tableId !== tableId) continue;
    if (change.kind === 'tableDeleted')
      return { what: 'The table of this subscription was deleted', field: null };
    const field = change.fieldId === null ? undefined : cells.fields.get(change.fieldId);
    const isDeleted = change.kind === 'fieldDeleted';
    if (field === undefined || !(isDeleted || changesMeaning(change, field.type))) continue;
    const what = `The field ${JSON.stringify(field.name)}, which "filter" looks at, was ${isDeleted ? 'deleted' : 'changed'}`;
    return { what, field: field.name };
  }
  return null;
}

/** Whether a field became more than renamed or described in other words. What became of it need not be told. */
function changesMeaning({ kind, current }: LoggedSchemaChange, type: string): boolean {
  if (kind !== 'fieldChanged') return false;
  const told = Object.entries(current ?? {});
  const isHarmless = ([key, value]: [string, unknown]) =>
    key === 'name' || key === 'description' || (key === 'type' && value === type);
  return told.length === 0 || !told.every(isHarmless);
}

function outdated(what: string, details: { field?: string }): AppError {
  return new AppError(
    'FILTER_OUTDATED',
    `${what}. Read again what you keep, then subscribe again with the cursor of the SchemaChange: "filter" is then checked against the table as it is now.`,
    { details: { argument: 'filter', ...details } },
  );
}
