import { ApiError, notFound, notPermittedOrNotFound } from '../api-error.ts';
import type { RecordDoc, TableDoc } from '../bases/documents.ts';
import { isComputed } from '../bases/fields.ts';
import type { SandboxContext } from '../context.ts';
import { BaseEdit, type Author } from './base-edit.ts';
import { CellInput, rowDoesNotExist, type CellChanges } from './cell-input.ts';
import { mergeFieldsOf, matchRecord } from './upsert.ts';
import { sameRecordTwice, type RecordInput, type WriteRequest } from './write-requests.ts';

/** What a write did, in request order. */
export interface WriteResult {
  recordIds: string[];
  created: string[];
  updated: string[];
  attachmentsFailed: boolean;
}

/** Creates all records or, throwing a 422, none. */
export function createRecords(
  context: SandboxContext,
  table: TableDoc,
  request: WriteRequest,
  author: Author,
): WriteResult {
  const edit = new BaseEdit(context, table.baseId, author);
  const input = new CellInput(context, edit, request.typecast);
  const recordIds = request.records.map(({ fields }) => edit.create(table.id, input.read(table, fields)));
  edit.commit();
  return { recordIds, created: recordIds, updated: [], attachmentsFailed: input.attachmentsFailed };
}

/**
 * Updates all records or, throwing a 422, none. With `replace` the writable cells that are not named are emptied. With
 * `fieldsToMergeOn` records without an id are matched by these fields against what was there before the request.
 */
export function updateRecords(
  context: SandboxContext,
  table: TableDoc,
  request: WriteRequest,
  replace: boolean,
  author: Author,
): WriteResult {
  const edit = new BaseEdit(context, table.baseId, author);
  const input = new CellInput(context, edit, request.typecast);
  const mergeFields = mergeFieldsOf(table, request.fieldsToMergeOn);
  const result: WriteResult = { recordIds: [], created: [], updated: [], attachmentsFailed: false };
  for (const { id, fields } of request.records) {
    const target = id ?? matchRecord(context, table, mergeFields, input.read(table, fields));
    if (target === undefined) {
      const recordId = edit.create(table.id, input.read(table, fields));
      result.recordIds.push(recordId);
      result.created.push(recordId);
      continue;
    }
    if (result.updated.includes(target)) throw sameRecordTwice();
    edit.update(table.id, target, changesTo(input, edit, table, { id: target, fields }, replace));
    result.recordIds.push(target);
    result.updated.push(target);
  }
  edit.commit();
  return { ...result, attachmentsFailed: input.attachmentsFailed };
}

/** Deletes all records or, throwing 422 ROW_DOES_NOT_EXIST, none. */
export function deleteRecords(
  context: SandboxContext,
  table: TableDoc,
  recordIds: string[],
  author: Author,
): void {
  const edit = new BaseEdit(context, table.baseId, author);
  for (const recordId of recordIds) {
    if (edit.record(table.id, recordId) === undefined) rowDoesNotExist(recordId);
    edit.destroy(table.id, recordId);
  }
  edit.commit();
}

/** The record of that table, or the answer that the `missingRecord` switch asks for. */
export function getRecordOf(context: SandboxContext, table: TableDoc, recordId: string): RecordDoc {
  const record = context.records.find(table.id, recordId);
  if (record === undefined) throw missingRecord(context);
  return record;
}

/** All three answers have been reported for a record that is not there. */
export function missingRecord({ settings }: Pick<SandboxContext, 'settings'>): ApiError {
  switch (settings.switches.missingRecord) {
    case 'MODEL_ID_NOT_FOUND':
      return new ApiError(404, 'MODEL_ID_NOT_FOUND', 'Record not found');
    case 'INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND':
      return notPermittedOrNotFound();
    default:
      return notFound();
  }
}

function changesTo(
  input: CellInput,
  edit: BaseEdit,
  table: TableDoc,
  { id = '', fields }: RecordInput,
  replace: boolean,
): CellChanges {
  const record = edit.record(table.id, id);
  if (record === undefined) return rowDoesNotExist(id);
  const changes = input.read(table, fields, record.cells);
  if (!replace) return changes;
  for (const field of table.fields) {
    if (!isComputed(field) && !changes.has(field.id)) changes.set(field.id, undefined);
  }
  return changes;
}
