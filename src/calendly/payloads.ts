import { isObject, toRecordCell } from './cell-values.ts';
import { payloadShape, unreadParts } from './payload-shape.ts';
import type { WirePayload } from './wire.ts';

/** By field id, in the format of the record endpoints. */
export type Cells = Record<string, unknown>;

export interface DecodedChange {
  kind: 'created' | 'updated' | 'deleted';
  tableId: string;
  /** The view that the record entered or left, when the webhook watches a view; else null. */
  viewId: string | null;
  recordId: string;
  createdTime: string | null;
  /** The cells that were set or changed. An emptied cell is null. */
  current: Cells;
  /** Their values before; null when they are not told, as the webhook has to ask for them. */
  previous: Cells | null;
  /** Other cells; null when they are not told, as the webhook has to ask for them. */
  unchanged: Cells | null;
}

export interface DecodedSchemaChange {
  kind: 'tableCreated' | 'tableChanged' | 'tableDeleted' | 'fieldCreated' | 'fieldChanged' | 'fieldDeleted';
  tableId: string;
  fieldId: string | null;
  /** Name, description or type, as far as told. */
  current: Record<string, unknown> | null;
  previous: Record<string, unknown> | null;
}

export interface DecodedPayload {
  /** ISO 8601; null when the payload does not say. */
  timestamp: string | null;
  /** One action may be spread over several payloads with the same number. */
  transaction: number | null;
  /** Where the change was made, such as `client` or `publicApi`; the set is open. */
  source: string;
  actor: { id: string; name: string | null; email: string | null } | null;
  changes: DecodedChange[];
  schemaChanges: DecodedSchemaChange[];
  /** Set when the webhook has turned off for good: INVALID_FILTERS, INVALID_HOOK, INTERNAL_ERROR or a newer code. */
  error: string | null;
  /** What is not read, at the places where it stands; null when there is none. */
  unread: Record<string, unknown> | null;
}

/**
 * Reads one payload. What is unknown is told as unread, never an error. The order depends on the content alone (by table,
 * kind and record id), so a payload that is read again yields every change at the same place.
 */
export function decodePayload(payload: WirePayload): DecodedPayload {
  const action = objectAt(payload, 'actionMetadata');
  const tables = entriesAt(payload, 'changedTablesById');
  const newTables = entriesAt(payload, 'createdTablesById');
  return {
    timestamp: textAt(payload, 'timestamp'),
    transaction: typeof payload.baseTransactionNumber === 'number' ? payload.baseTransactionNumber : null,
    source: textAt(action, 'source') ?? 'unknown',
    actor: decodeActor(objectAt(objectAt(action, 'sourceMetadata'), 'user')),
    changes: [
      ...newTables.flatMap(([tableId, table]) => createdRecords(table, 'recordsById', tableId, null)),
      ...tables.flatMap(([tableId, table]) => [
        ...recordChanges(table, tableId, null),
        ...entriesAt(table, 'changedViewsById').flatMap(([viewId, view]) =>
          recordChanges(view, tableId, viewId),
        ),
      ]),
    ],
    schemaChanges: [
      ...newTables.flatMap(([tableId, table]) => newTable(tableId, table)),
      ...tables.flatMap(([tableId, table]) => schemaChanges(tableId, table)),
      ...idsAt(payload, 'destroyedTableIds').map((tableId) => schemaChange('tableDeleted', tableId)),
    ],
    error: payload.error === true ? (textAt(payload, 'code') ?? 'UNKNOWN') : null,
    unread: (unreadParts(payload, payloadShape) as Record<string, unknown> | undefined) ?? null,
  };
}

function decodeActor(user: Record<string, unknown>): DecodedPayload['actor'] {
  const id = textAt(user, 'id');
  return id === null ? null : { id, name: textAt(user, 'name'), email: textAt(user, 'email') };
}

function recordChanges(
  source: Record<string, unknown>,
  tableId: string,
  viewId: string | null,
): DecodedChange[] {
  const updated = entriesAt(source, 'changedRecordsById').map(([recordId, change]) => ({
    ...emptyChange('updated', tableId, viewId, recordId),
    current: cellsOf(objectAt(change, 'current')),
    previous: isObject(change.previous) ? cellsOf(change.previous) : null,
    unchanged: isObject(change.unchanged) ? cellsOf(change.unchanged) : null,
  }));
  const deleted = idsAt(source, 'destroyedRecordIds').map((id) =>
    emptyChange('deleted', tableId, viewId, id),
  );
  return [...createdRecords(source, 'createdRecordsById', tableId, viewId), ...updated, ...deleted];
}

function createdRecords(
  source: Record<string, unknown>,
  key: string,
  tableId: string,
  viewId: string | null,
): DecodedChange[] {
  return entriesAt(source, key).map(([recordId, record]) => ({
    ...emptyChange('created', tableId, viewId, recordId),
    createdTime: textAt(record, 'createdTime'),
    current: cellsOf(record),
  }));
}

function emptyChange(
  kind: DecodedChange['kind'],
  tableId: string,
  viewId: string | null,
  recordId: string,
): DecodedChange {
  return { kind, tableId, viewId, recordId, createdTime: null, current: {}, previous: {}, unchanged: {} };
}

function newTable(tableId: string, table: Record<string, unknown>): DecodedSchemaChange[] {
  return [
    schemaChange('tableCreated', tableId, null, objectAt(table, 'metadata')),
    ...entriesAt(table, 'fieldsById').map(([id, field]) => schemaChange('fieldCreated', tableId, id, field)),
  ];
}

function schemaChanges(tableId: string, table: Record<string, unknown>): DecodedSchemaChange[] {
  const metadata = table.changedMetadata;
  return [
    ...(isObject(metadata)
      ? [
          schemaChange(
            'tableChanged',
            tableId,
            null,
            objectAt(metadata, 'current'),
            objectAt(metadata, 'previous'),
          ),
        ]
      : []),
    ...entriesAt(table, 'createdFieldsById').map(([id, field]) =>
      schemaChange('fieldCreated', tableId, id, field),
    ),
    ...entriesAt(table, 'changedFieldsById').map(([id, field]) =>
      schemaChange('fieldChanged', tableId, id, objectAt(field, 'current'), objectAt(field, 'previous')),
    ),
    ...idsAt(table, 'destroyedFieldIds').map((id) => schemaChange('fieldDeleted', tableId, id)),
  ];
}

function schemaChange(
  kind: DecodedSchemaChange['kind'],
  tableId: string,
  fieldId: string | null = null,
  current: Record<string, unknown> | null = null,
  previous: Record<string, unknown> | null = null,
): DecodedSchemaChange {
  return { kind, tableId, fieldId, current, previous };
}

function cellsOf(source: Record<string, unknown>): Cells {
  return Object.fromEntries(
    Object.entries(objectAt(source, 'cellValuesByFieldId')).map(([fieldId, value]) => [
      fieldId,
      toRecordCell(value),
    ]),
  );
}

function objectAt(source: Record<string, unknown>, key: string): Record<string, unknown> {
  const value = source[key];
  return isObject(value) ? value : {};
}

/** Sorted, since the order of keys in JSON means nothing and may differ the next time. */
function entriesAt(source: Record<string, unknown>, key: string): [string, Record<string, unknown>][] {
  return Object.entries(objectAt(source, key))
    .filter((entry): entry is [string, Record<string, unknown>] => isObject(entry[1]))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function idsAt(source: Record<string, unknown>, key: string): string[] {
  const value = source[key];
  return Array.isArray(value)
    ? [...new Set(value.filter((id): id is string => typeof id === 'string'))].sort()
    : [];
}

function textAt(source: Record<string, unknown>, key: string): string | null {
  const value = source[key];
  return typeof value === 'string' ? value : null;
}
