import type { CellsByFieldId } from '../changes/transaction.ts';
import type { FieldDoc, RecordDoc, TableDoc } from '../bases/documents.ts';
import { findField } from '../bases/fields.ts';
import type { SandboxContext } from '../context.ts';

type WebhookCellContext = Pick<SandboxContext, 'bases' | 'cells' | 'users'>;

/** All non-empty cells of a record in the form that webhook payloads have ("V2"), by field id. */
export function webhookCells(
  context: WebhookCellContext,
  table: TableDoc,
  record: RecordDoc,
): CellsByFieldId {
  const cells: CellsByFieldId = {};
  for (const field of table.fields) {
    const value = webhookCell(context, table, record, field);
    if (value !== undefined) cells[field.id] = value;
  }
  return cells;
}

/** One cell in the V2 form; undefined when empty. */
export function webhookCell(
  context: WebhookCellContext,
  table: TableDoc,
  record: RecordDoc,
  field: FieldDoc,
): unknown {
  if (field.type === 'multipleRecordLinks') {
    const linked = context.cells.linkedRecords(record, field);
    return linked?.records.map((other) => ({ id: other.id, name: context.cells.name(linked.table, other) }));
  }
  if (field.type === 'multipleLookupValues') return lookup(context, table, record, field);
  const value = context.cells.read(table, record, field);
  return value === undefined ? undefined : convert(context, table, field, value);
}

function lookup(context: WebhookCellContext, table: TableDoc, record: RecordDoc, field: FieldDoc): unknown {
  const perRecord = context.cells.lookedUp(table, record, field);
  if (perRecord.length === 0) return undefined;
  const link = findField(table, field.options?.recordLinkFieldId ?? '');
  const linkedTable = context.bases.table(link?.options?.linkedTableId ?? '');
  const target = linkedTable && findField(linkedTable, field.options?.fieldIdInLinkedTable ?? '');
  const toV2 = (value: unknown) =>
    target === undefined || linkedTable === undefined
      ? value
      : convert(context, linkedTable, singular(target), value);
  return {
    linkedRecordIds: perRecord.map((one) => one.recordId),
    valuesByLinkedRecordId: Object.fromEntries(
      perRecord.map((one) => [one.recordId, one.values.map((value) => toV2(value))]),
    ),
  };
}

/** The values of a looked-up list field arrive one by one. */
function singular(field: FieldDoc): FieldDoc {
  if (field.type === 'multipleSelects') return { ...field, type: 'singleSelect' };
  if (field.type === 'multipleCollaborators') return { ...field, type: 'singleCollaborator' };
  return field;
}

function convert(context: WebhookCellContext, table: TableDoc, field: FieldDoc, value: unknown): unknown {
  switch (field.type) {
    case 'singleSelect':
    case 'externalSyncSource':
      return choice(field, value);
    case 'multipleSelects':
      return (value as unknown[]).map((name) => choice(field, name));
    case 'singleCollaborator':
    case 'createdBy':
    case 'lastModifiedBy':
      return collaborator(context, table, value);
    case 'multipleCollaborators':
      return (value as unknown[]).map((one) => collaborator(context, table, one));
    default:
      return value;
  }
}

function choice(field: FieldDoc, name: unknown): unknown {
  return field.options?.choices?.find((candidate) => candidate.name === name) ?? { name };
}

function collaborator(context: WebhookCellContext, table: TableDoc, value: unknown): unknown {
  const shown = value as { id: string };
  const known = context.users.get(shown.id) !== undefined;
  return known ? { ...shown, permissionLevel: context.users.roleIn(shown.id, table.baseId) } : shown;
}
