import { ApiError, invalidRequest } from '../api-error.ts';
import type { Transaction } from '../changes/transaction.ts';
import type { SandboxContext } from '../context.ts';
import { FIELD_TYPES, type FieldDoc, type FieldOptions } from './documents.ts';
import { findField } from './fields.ts';
import { SchemaEdit } from './schema-edit.ts';

/** Types whose cells are converted into one another by their text. */
const RETYPABLE: ReadonlySet<FieldDoc['type']> = new Set([
  'singleLineText',
  'multilineText',
  'number',
  'date',
  'checkbox',
]);

/** Fields in one table and tables in one base. */
const MAX_FIELDS = 500;
const MAX_TABLES = 1_000;

const ACTIONS = [
  'addTable',
  'renameTable',
  'removeTable',
  'addField',
  'renameField',
  'retypeField',
  'removeField',
] as const;

export interface SchemaEditResult {
  transaction: number;
  tableId: string;
  fieldId?: string;
}

/**
 * A change of a base's schema as a person makes it: `{baseId}` and exactly one of
 * `addTable: {name, description?, fields?: [{name, type, options?}]}` (the first field becomes primary),
 * `renameTable: {tableId, name?, description?}`, `removeTable: {tableId}`,
 * `addField: {tableId, name, type, description?, options?}`, `renameField: {tableId, fieldId, name}`,
 * `retypeField: {tableId, fieldId, type, options?}` (cells that the other type can hold are converted, the rest are emptied;
 * neither links nor computed fields), `removeField: {tableId, fieldId}`. Ids or names are accepted. Throws ApiError.
 */
export function editSchema(context: SandboxContext, body: unknown): SchemaEditResult {
  const given = objectOf(body);
  const { baseId } = given;
  const [action, ...others] = ACTIONS.filter((name) => given[name] !== undefined);
  if (typeof baseId !== 'string') throw invalidRequest('"baseId" is needed');
  if (context.bases.find(baseId) === undefined) throw invalidRequest(`There is no base ${baseId}`);
  if (action === undefined || others.length > 0)
    throw invalidRequest(`Give exactly one of ${ACTIONS.join(', ')}`);
  const edit = new SchemaEdit(context, baseId);
  const target = objectOf(given[action]);
  return context.state.atomically(() => {
    const done = perform(context, edit, baseId, action, target);
    const changes: Pick<Transaction, 'changedTablesById' | 'createdTablesById' | 'destroyedTableIds'> =
      edit.changes();
    const number = context.ledger.nextNumber(baseId);
    const user = context.users.list()[0] ?? null;
    context.ledger.append({
      baseId,
      number,
      timestamp: context.clock.iso(),
      source: 'client',
      user,
      ...changes,
    });
    return { transaction: number, ...done };
  });
}

function perform(
  context: SandboxContext,
  edit: SchemaEdit,
  baseId: string,
  action: (typeof ACTIONS)[number],
  target: Record<string, unknown>,
): { tableId: string; fieldId?: string } {
  if (action === 'addTable') {
    if (context.bases.tables(baseId).length >= MAX_TABLES)
      throw invalidRequest(`A base has at most ${MAX_TABLES} tables`);
    const name = freeName(target['name'], context.bases.tables(baseId));
    const fields = listOf(target['fields']).map((field) => newField(context, objectOf(field), []));
    if (fields.some(({ type }) => type === 'multipleRecordLinks'))
      throw invalidRequest('Add link fields with addField');
    return { tableId: edit.addTable(name, optionalText(target['description']), fields).id };
  }
  const table = context.bases.getTable(baseId, text(target['tableId'], 'tableId'));
  if (action === 'removeTable') edit.removeTable(table);
  else if (action === 'renameTable') {
    const others = context.bases.tables(baseId).filter(({ id }) => id !== table.id);
    const name = target['name'] === undefined ? table.name : freeName(target['name'], others);
    edit.renameTable(
      table,
      name,
      target['description'] === undefined ? table.description : optionalText(target['description']),
    );
  } else if (action === 'addField') {
    if (table.fields.length >= MAX_FIELDS) throw invalidRequest(`A table has at most ${MAX_FIELDS} fields`);
    return { tableId: table.id, fieldId: edit.addField(table, newField(context, target, table.fields)) };
  } else {
    const field = findField(table, text(target['fieldId'], 'fieldId'));
    if (field === undefined)
      throw new ApiError(422, 'UNKNOWN_FIELD_NAME', `Unknown field name: "${String(target['fieldId'])}"`);
    if (action === 'renameField') {
      const others = table.fields.filter(({ id }) => id !== field.id);
      edit.renameField(table, field, freeName(target['name'], others));
    } else if (action === 'retypeField') {
      const { type, options } = newField(context, { ...target, name: field.name }, []);
      if (!RETYPABLE.has(field.type) || !RETYPABLE.has(type))
        throw invalidRequest(`Fields become another type among ${[...RETYPABLE].join(', ')} only`);
      edit.retypeField(table, field, type, options);
    } else if (field.id === table.primaryFieldId) {
      throw invalidRequest('The primary field cannot be removed');
    } else edit.removeField(table, field);
    return { tableId: table.id, fieldId: field.id };
  }
  return { tableId: table.id };
}

function newField(
  context: SandboxContext,
  given: Record<string, unknown>,
  siblings: readonly FieldDoc[],
): FieldDoc {
  const name = freeName(given['name'], siblings);
  const type = FIELD_TYPES.find((known) => known === given['type']);
  if (type === undefined) throw invalidRequest(`"type" must be one of ${FIELD_TYPES.join(', ')}`);
  const description = optionalText(given['description']);
  const options =
    given['options'] === undefined ? undefined : fieldOptions(context, objectOf(given['options']));
  return {
    id: context.ids.next('fld'),
    name,
    type,
    ...(description && { description }),
    ...(options && { options }),
  };
}

/** Choices get ids where they have none. */
function fieldOptions(context: SandboxContext, given: Record<string, unknown>): FieldOptions {
  const options = given as FieldOptions;
  const choices = options.choices?.map((choice) => ({ ...choice, id: choice.id ?? context.ids.next('sel') }));
  return choices === undefined ? options : { ...options, choices };
}

function freeName(value: unknown, siblings: readonly { name: string }[]): string {
  const name = text(value, 'name');
  if (siblings.some((sibling) => sibling.name === name)) throw invalidRequest(`The name "${name}" is taken`);
  return name;
}

function text(value: unknown, key: string): string {
  if (typeof value !== 'string' || value.trim() === '')
    throw invalidRequest(`"${key}" must be a text that is not empty`);
  return value;
}

function optionalText(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : text(value, 'description');
}

function listOf(value: unknown): unknown[] {
  if (value === undefined) return [{ name: 'Name', type: 'singleLineText' }];
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_FIELDS)
    throw invalidRequest('"fields" must be a list');
  return value;
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidRequest();
  return value as Record<string, unknown>;
}
