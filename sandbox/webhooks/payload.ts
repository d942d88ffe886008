import type { CreatedTable, TableChanges, Transaction } from '../changes/transaction.ts';
import type { ActionMetadata } from './action-metadata.ts';
import { recordPart, type RecordPart } from './payload-records.ts';
import { hasType, wants, type Specification } from './specification.ts';
import type { ViewMoves } from './view-members.ts';

export interface PayloadHead {
  timestamp: string;
  baseTransactionNumber: number;
  payloadFormat: 'v0';
  actionMetadata: ActionMetadata;
}

export interface ChangePayload extends PayloadHead {
  changedTablesById?: Record<string, PayloadTable>;
  createdTablesById?: Record<string, Partial<CreatedTable>>;
  destroyedTableIds?: string[];
}

export interface ErrorPayload extends PayloadHead {
  error: true;
  code: 'INVALID_FILTERS' | 'INVALID_HOOK' | 'INTERNAL_ERROR';
}

export type Payload = ChangePayload | ErrorPayload;

type PayloadTable = RecordPart &
  Pick<TableChanges, 'createdFieldsById' | 'destroyedFieldIds' | 'changedMetadata'> & {
    changedFieldsById?: Record<string, { current: object; previous?: object }>;
    changedViewsById?: Record<string, RecordPart>;
  };

/** How a specification with a view as its scope sees a transaction. */
export interface ViewScope {
  tableId: string;
  viewId: string;
  moves: ViewMoves;
  /** ISO creation times of the records that entered the view. */
  createdTimes: Record<string, string>;
}

/** Field ids of each table, for deciding which tables hold watched fields. */
export type FieldIdsByTable = Record<string, readonly string[]>;

export function payloadHead(transaction: Transaction, actionMetadata: ActionMetadata): PayloadHead {
  return {
    timestamp: transaction.timestamp,
    baseTransactionNumber: transaction.number,
    payloadFormat: 'v0',
    actionMetadata,
  };
}

/** The payload that a specification makes of a transaction; null if it filters everything out. */
export function changePayload(
  transaction: Transaction,
  specification: Specification,
  head: PayloadHead,
  fieldIdsByTable: FieldIdsByTable,
  view: ViewScope | null,
): ChangePayload | null {
  const { filters } = specification.options;
  if (filters.fromSources && !filters.fromSources.includes(transaction.source)) return null;
  if (!matchesSourceOptions(head.actionMetadata, specification)) return null;
  const scope = view?.tableId ?? filters.recordChangeScope;
  const inScope = (tableId: string) => scope === undefined || scope === tableId;
  const payload: ChangePayload = { ...head };

  const changed = Object.entries(transaction.changedTablesById)
    .filter(([tableId]) => inScope(tableId))
    .map(([tableId, changes]): [string, PayloadTable] => [
      tableId,
      tablePart(changes, specification, fieldIdsByTable[tableId] ?? [], view),
    ])
    .filter(([, table]) => Object.keys(table).length > 0);
  if (changed.length > 0) payload.changedTablesById = Object.fromEntries(changed);

  if (!view && wants(specification, 'add')) {
    const created = Object.entries(transaction.createdTablesById ?? {}).filter(([tableId]) =>
      inScope(tableId),
    );
    const parts = created.map(
      ([tableId, table]) => [tableId, createdTablePart(table, specification)] as const,
    );
    if (parts.length > 0) payload.createdTablesById = Object.fromEntries(parts);
  }
  if (wants(specification, 'remove')) {
    const destroyed = (transaction.destroyedTableIds ?? []).filter(inScope);
    if (destroyed.length > 0) payload.destroyedTableIds = destroyed;
  }
  return Object.keys(payload).length > Object.keys(head).length ? payload : null;
}

function tablePart(
  changes: TableChanges,
  specification: Specification,
  tableFieldIds: readonly string[],
  view: ViewScope | null,
): PayloadTable {
  const part: PayloadTable = fieldPart(changes, specification);
  if (hasType(specification, 'tableMetadata') && wants(specification, 'update') && changes.changedMetadata) {
    part.changedMetadata = changes.changedMetadata;
  }
  if (!hasType(specification, 'tableData')) return part;
  const records = recordPart(changes, specification, tableFieldIds, view);
  if (Object.keys(records).length === 0) return part;
  if (!view) return { ...part, ...records };
  return { ...part, changedViewsById: { [view.viewId]: records } };
}

function fieldPart(changes: TableChanges, specification: Specification): PayloadTable {
  const part: PayloadTable = {};
  if (!hasType(specification, 'tableFields')) return part;
  const { filters, includes } = specification.options;
  const watched = filters.watchSchemasOfFieldIds;
  const isWatched = (fieldId: string) => watched === undefined || watched.includes(fieldId);
  if (wants(specification, 'add') && changes.createdFieldsById) {
    const created = Object.entries(changes.createdFieldsById).filter(([fieldId]) => isWatched(fieldId));
    if (created.length > 0) part.createdFieldsById = Object.fromEntries(created);
  }
  if (wants(specification, 'update') && changes.changedFieldsById) {
    const changed = Object.entries(changes.changedFieldsById)
      .filter(([fieldId]) => isWatched(fieldId))
      .map(
        ([fieldId, { current, previous }]) =>
          [fieldId, includes?.includePreviousFieldDefinitions ? { current, previous } : { current }] as const,
      );
    if (changed.length > 0) part.changedFieldsById = Object.fromEntries(changed);
  }
  if (wants(specification, 'remove') && changes.destroyedFieldIds) {
    const destroyed = changes.destroyedFieldIds.filter(isWatched);
    if (destroyed.length > 0) part.destroyedFieldIds = destroyed;
  }
  return part;
}

function createdTablePart(table: CreatedTable, specification: Specification): Partial<CreatedTable> {
  return {
    ...(hasType(specification, 'tableMetadata') && { metadata: table.metadata }),
    ...(hasType(specification, 'tableFields') && { fieldsById: table.fieldsById }),
    ...(hasType(specification, 'tableData') && { recordsById: table.recordsById }),
  };
}

/** A form is meant only if the change came by a form at all; other sources pass. */
function matchesSourceOptions(
  { source, sourceMetadata }: ActionMetadata,
  specification: Specification,
): boolean {
  const options = specification.options.filters.sourceOptions;
  if (source === 'formSubmission' && options?.formSubmission) {
    return sourceMetadata?.viewId === options.formSubmission.viewId;
  }
  if (source === 'formPageSubmission' && options?.formPageSubmission) {
    return sourceMetadata?.pageId === options.formPageSubmission.pageId;
  }
  return true;
}
