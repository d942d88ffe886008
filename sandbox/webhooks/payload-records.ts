import type { CellsByFieldId, ChangedRecord, CreatedRecord, TableChanges } from '../changes/transaction.ts';
import type { ViewScope } from './payload.ts';
import { wants, type Specification } from './specification.ts';

export interface PayloadRecordChange {
  current: { cellValuesByFieldId: CellsByFieldId };
  previous?: { cellValuesByFieldId: CellsByFieldId };
  unchanged?: { cellValuesByFieldId: CellsByFieldId };
}

export interface RecordPart {
  createdRecordsById?: Record<string, CreatedRecord>;
  changedRecordsById?: Record<string, PayloadRecordChange>;
  destroyedRecordIds?: string[];
}

/**
 * What a specification lets through of the record changes of one table. In a view, "created" also means that the record
 * entered it and "destroyed" that it left. Tables without any watched field are left out.
 */
export function recordPart(
  changes: TableChanges,
  specification: Specification,
  tableFieldIds: readonly string[],
  view: ViewScope | null,
): RecordPart {
  const watched = specification.options.filters.watchDataInFieldIds;
  if (watched && !watched.some((fieldId) => tableFieldIds.includes(fieldId))) return {};
  const part: RecordPart = {};
  if (wants(specification, 'add')) {
    const created = createdRecords(changes, view).map(([recordId, record]): [string, CreatedRecord] => [
      recordId,
      { ...record, cellValuesByFieldId: shownCells(record.cellValuesByFieldId, specification) },
    ]);
    if (created.length > 0) part.createdRecordsById = Object.fromEntries(created);
  }
  if (wants(specification, 'update')) {
    const changed = Object.entries(changes.changedRecordsById ?? {})
      .filter(([recordId]) => !view || view.moves.stayed.has(recordId))
      .map(([recordId, record]): [string, PayloadRecordChange | null] => [
        recordId,
        recordChange(record, specification),
      ])
      .filter(([, change]) => change !== null);
    if (changed.length > 0)
      part.changedRecordsById = Object.fromEntries(changed) as typeof part.changedRecordsById;
  }
  if (wants(specification, 'remove')) {
    const destroyed = view ? [...view.moves.left] : (changes.destroyedRecordIds ?? []);
    if (destroyed.length > 0) part.destroyedRecordIds = destroyed;
  }
  return part;
}

function createdRecords(changes: TableChanges, view: ViewScope | null): [string, CreatedRecord][] {
  const created = Object.entries(changes.createdRecordsById ?? {});
  if (!view) return created;
  const entered = Object.entries(changes.changedRecordsById ?? {}).map(
    ([recordId, record]): [string, CreatedRecord] => [
      recordId,
      { createdTime: view.createdTimes[recordId] ?? '', cellValuesByFieldId: allCells(record) },
    ],
  );
  return [...created, ...entered].filter(([recordId]) => view.moves.entered.has(recordId));
}

/** Null if none of the watched fields changed. */
function recordChange(record: ChangedRecord, specification: Specification): PayloadRecordChange | null {
  const { filters, includes } = specification.options;
  const isWatched = watches(filters.watchDataInFieldIds);
  const current = pick(record.current.cellValuesByFieldId, isWatched);
  if (Object.keys(current).length === 0) return null;
  const change: PayloadRecordChange = { current: { cellValuesByFieldId: current } };
  if (includes?.includePreviousCellValues) {
    change.previous = { cellValuesByFieldId: pick(record.previous.cellValuesByFieldId, isWatched) };
  }
  const included = includes?.includeCellValuesInFieldIds;
  if (included !== undefined) {
    // A field that changed but is not watched belongs to the values that are only included.
    const others = { ...allCells(record) };
    for (const fieldId of Object.keys(current)) delete others[fieldId];
    change.unchanged = {
      cellValuesByFieldId: pick(others, watches(included === 'all' ? undefined : included)),
    };
  }
  return change;
}

/** The cells of a new record: all that were set, or of those the watched and the included ones. */
function shownCells(cells: CellsByFieldId, { options }: Specification): CellsByFieldId {
  const watched = options.filters.watchDataInFieldIds;
  const included = options.includes?.includeCellValuesInFieldIds;
  if (watched === undefined || included === 'all') return cells;
  return pick(cells, watches([...watched, ...(included ?? [])]));
}

/** All non-empty cells as the change left them. */
function allCells({ current, unchanged }: ChangedRecord): CellsByFieldId {
  const cells = { ...unchanged.cellValuesByFieldId, ...current.cellValuesByFieldId };
  return Object.fromEntries(Object.entries(cells).filter(([, value]) => value !== null));
}

function watches(fieldIds: readonly string[] | undefined): (fieldId: string) => boolean {
  return (fieldId) => fieldIds === undefined || fieldIds.includes(fieldId);
}

function pick(cells: CellsByFieldId, isWanted: (fieldId: string) => boolean): CellsByFieldId {
  return Object.fromEntries(Object.entries(cells).filter(([fieldId]) => isWanted(fieldId)));
}
