import { ApiError } from '../api-error.ts';
import type { FieldDoc, StoredAttachment, TableDoc } from '../bases/documents.ts';
import { isComputed } from '../bases/fields.ts';
import type { SandboxContext } from '../context.ts';
import { readAttachments } from './attachment-input.ts';
import type { BaseEdit } from './base-edit.ts';
import { isoDate, isoDateTime } from './date-input.ts';
import { knownField } from './list.ts';
import { typecastValue } from './typecast.ts';

const MAX_TEXT_CHARACTERS = 100_000;
const MAX_LIST_ITEMS = 10_000;

/** New values by field id; undefined empties the cell. */
export type CellChanges = Map<string, unknown>;

/** Checks what callers write and turns it into cells as they are stored. Throws 422s; changes nothing but the edit's plan. */
export class CellInput {
  /** True once an attachment could not be fetched; the answer then says `partialSuccess`. */
  attachmentsFailed = false;

  constructor(
    private readonly context: SandboxContext,
    private readonly edit: BaseEdit,
    private readonly typecast: boolean,
  ) {}

  /** `fields` by name or id. `previous` are the record's cells, for attachments that are kept. */
  read(
    table: TableDoc,
    fields: Record<string, unknown>,
    previous: Record<string, unknown> = {},
  ): CellChanges {
    const changes: CellChanges = new Map();
    for (const [nameOrId, value] of Object.entries(fields)) {
      const field = knownField(table, nameOrId);
      if (isComputed(field)) throw computedField(field);
      changes.set(field.id, this.cell(table, field, value, previous[field.id]));
    }
    return changes;
  }

  private cell(table: TableDoc, field: FieldDoc, given: unknown, previous: unknown): unknown {
    if (given === null) return undefined;
    const value = this.typecast ? typecastValue(field, given) : given;
    // Typecast reads a blank text as an empty cell.
    if (value === null) return undefined;
    switch (field.type) {
      case 'number':
      case 'percent':
      case 'currency':
      case 'duration':
        return typeof value === 'number' ? value : refuse(field);
      case 'rating':
        return isRating(value, field.options?.max ?? 10) ? value : refuse(field);
      case 'checkbox':
        return typeof value === 'boolean' ? value || undefined : refuse(field);
      case 'date':
        return value === '' ? undefined : (isoDate(textOf(field, value)) ?? refuse(field));
      case 'dateTime':
        return value === ''
          ? undefined
          : (isoDateTime(textOf(field, value), field.options ?? {}) ?? refuse(field));
      case 'singleSelect':
        return value === '' ? undefined : this.choice(table, field, value);
      case 'multipleSelects':
        return listCell([...new Set(listOf(field, value).map((name) => this.choice(table, field, name)))]);
      case 'singleCollaborator':
        return this.collaborator(field, value);
      case 'multipleCollaborators':
        return listCell(
          listOf(field, value).map((one) =>
            this.collaborator(field, typeof one === 'string' ? { id: one } : one),
          ),
        );
      case 'multipleRecordLinks':
        return listCell([...new Set(listOf(field, value).map((one) => this.link(field, one)))]);
      case 'multipleAttachments': {
        const kept = (previous as StoredAttachment[] | undefined) ?? [];
        const { attachments, failed } = readAttachments(listOf(field, value), kept, this.context.ids);
        this.attachmentsFailed ||= failed;
        return listCell(attachments);
      }
      case 'barcode':
        return barcode(field, value);
      default:
        return textOf(field, value) || undefined;
    }
  }

  private choice(table: TableDoc, field: FieldDoc, name: unknown): string {
    if (typeof name !== 'string') return refuse(field);
    const choices = this.edit.field(table.id, field.id)?.options?.choices ?? [];
    if (choices.some((choice) => choice.name === name)) return name;
    if (!this.typecast || name.trim() === '') {
      const message = `Insufficient permissions to create new select option "${name}"`;
      throw new ApiError(422, 'INVALID_MULTIPLE_CHOICE_OPTIONS', message);
    }
    this.edit.addChoice(table.id, field.id, name);
    return name;
  }

  private collaborator(field: FieldDoc, value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return refuse(field);
    const { id, email } = value as { id?: unknown; email?: unknown };
    const user = this.context.users
      .list()
      .find((known) => (id === undefined ? known.email === email : known.id === id));
    return user === undefined ? refuse(field) : { id: user.id, email: user.email, name: user.name };
  }

  private link(field: FieldDoc, value: unknown): string {
    const tableId = field.options?.linkedTableId ?? '';
    if (typeof value !== 'string') return refuse(field);
    if (this.edit.record(tableId, value) !== undefined) return value;
    if (this.typecast) return this.recordNamed(tableId, value) ?? refuse(field);
    return /^rec[0-9A-Za-z]{1,40}$/.test(value) ? rowDoesNotExist(value) : refuse(field);
  }

  /** The first record of the table with that name. */
  private recordNamed(tableId: string, name: string): string | undefined {
    const table = this.context.bases.table(tableId);
    if (table === undefined) return undefined;
    for (const record of this.context.records.of(tableId).values()) {
      if (this.context.cells.name(table, record) === name) return record.id;
    }
    return undefined;
  }
}

/** Throws 422 ROW_DOES_NOT_EXIST. */
export function rowDoesNotExist(recordId: string): never {
  throw new ApiError(422, 'ROW_DOES_NOT_EXIST', `Record ID ${recordId} does not exist in this table`);
}

function refuse(field: FieldDoc): never {
  throw new ApiError(
    422,
    'INVALID_VALUE_FOR_COLUMN',
    `Field "${field.name}" cannot accept the provided value`,
  );
}

function computedField(field: FieldDoc): ApiError {
  const message = `Field "${field.name}" cannot accept a value because the field is computed`;
  return new ApiError(422, 'INVALID_VALUE_FOR_COLUMN', message);
}

function isRating(value: unknown, max: number): boolean {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= max;
}

function textOf(field: FieldDoc, value: unknown): string {
  return typeof value === 'string' && value.length <= MAX_TEXT_CHARACTERS ? value : refuse(field);
}

function listOf(field: FieldDoc, value: unknown): unknown[] {
  return Array.isArray(value) && value.length <= MAX_LIST_ITEMS ? value : refuse(field);
}

/** An empty list is an empty cell. */
function listCell(items: unknown[]): unknown {
  return items.length > 0 ? items : undefined;
}

function barcode(field: FieldDoc, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return refuse(field);
  const { text, type } = value as { text?: unknown; type?: unknown };
  if (typeof text !== 'string' || (type !== undefined && typeof type !== 'string')) return refuse(field);
  if (text === '') return undefined;
  return type === undefined ? { text } : { text, type };
}
