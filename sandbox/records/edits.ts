import { ApiError, invalidRequest } from '../api-error.ts';
import type { TableDoc } from '../bases/documents.ts';
import type { ChangeSource, Transaction } from '../changes/transaction.ts';
import type { SandboxContext } from '../context.ts';
import { BaseEdit } from './base-edit.ts';
import { CellInput, rowDoesNotExist } from './cell-input.ts';

/** Records of each kind in one edit. */
export const MAX_RECORDS_PER_EDIT = 1_000;

const SOURCES: readonly ChangeSource[] = [
  'client',
  'publicApi',
  'formSubmission',
  'formPageSubmission',
  'automation',
  'system',
  'sync',
  'anonymousUser',
  'unknown',
];
/** Sources that have no user behind them. */
const WITHOUT_USER: readonly ChangeSource[] = SOURCES.slice(2);

export interface EditResult {
  /** Ids of the new records, in order. */
  created: string[];
  /** Null if nothing changed. */
  transaction: number | null;
}

/**
 * An edit as a person makes it in the service's own pages: `{baseId, tableId, create?: [fields], update?: [{id, fields}],
 * destroy?: [id], source?, userId?}`, all in one transaction; `tableId` is an id or a name, and each `create` item is
 * `{fields}`. No token, no rate limit, no ten-record cap. Throws ApiError.
 */
export function editRecords(context: SandboxContext, body: unknown): EditResult {
  const given = objectOf(body);
  const { baseId, tableId, source = 'client', userId } = given;
  if (typeof baseId !== 'string' || typeof tableId !== 'string')
    throw invalidRequest('"baseId" and "tableId" are needed');
  const known = SOURCES.find((candidate) => candidate === source);
  if (known === undefined) throw invalidRequest(`"source" must be one of ${SOURCES.join(', ')}`);
  const table = context.bases.getTable(baseId, tableId);
  const author = typeof userId === 'string' ? context.users.get(userId) : context.users.list()[0];
  const user = WITHOUT_USER.includes(known) ? null : (author ?? null);
  const edit = new BaseEdit(context, baseId, { source: known, user });
  const created = plan(context, edit, table, given);
  const transaction: Transaction | null = edit.commit();
  return { created, transaction: transaction?.number ?? null };
}

function plan(
  context: SandboxContext,
  edit: BaseEdit,
  table: TableDoc,
  given: Record<string, unknown>,
): string[] {
  const input = new CellInput(context, edit, true);
  const created = listOf(given, 'create').map((item) =>
    edit.create(table.id, input.read(table, objectOf(objectOf(item)['fields']))),
  );
  for (const item of listOf(given, 'update')) {
    const { id, fields } = objectOf(item);
    const record = typeof id === 'string' ? edit.record(table.id, id) : undefined;
    if (record === undefined) rowDoesNotExist(String(id));
    edit.update(table.id, record.id, input.read(table, objectOf(fields), record.cells));
  }
  for (const id of listOf(given, 'destroy')) {
    if (typeof id !== 'string' || edit.record(table.id, id) === undefined) rowDoesNotExist(String(id));
    edit.destroy(table.id, id);
  }
  return created;
}

function listOf(given: Record<string, unknown>, key: string): unknown[] {
  const value = given[key] ?? [];
  if (!Array.isArray(value)) throw invalidRequest(`"${key}" must be a list`);
  if (value.length > MAX_RECORDS_PER_EDIT) {
    throw new ApiError(422, 'INVALID_RECORDS', `"${key}" has at most ${MAX_RECORDS_PER_EDIT} records`);
  }
  return value;
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidRequest();
  return value as Record<string, unknown>;
}
