import type { FieldSchema, TableSchema } from '../../bases/table-schema.ts';
import type { CalendlyApi } from '../../calendly/api.ts';
import type { WireRecord, WrittenRecords } from '../../calendly/wire.ts';
import { AppError } from '../../errors.ts';
import type { RecordToWrite } from './record-check.ts';
import type { WriteResult } from './write-result.ts';

/** What the upstream confirmed of one record. */
export type Confirmed = Pick<WriteResult, 'recordId' | 'record' | 'effect' | 'warning'>;

/** One kind of write, bound to its table. */
export interface WriteCall<Item> {
  recordIdOf(item: Item): string | null;
  /** The cells of what may come to life by it; null where nothing can. */
  newCellsOf(item: Item): Record<string, unknown> | null;
  /** Sends at most ten and answers in their order. */
  send(api: CalendlyApi, items: Item[]): Promise<Confirmed[]>;
}

export interface WritePlace {
  baseId: string;
  table: TableSchema;
  typecast: boolean;
}

export function creating({ baseId, table, typecast }: WritePlace): WriteCall<RecordToWrite> {
  return {
    recordIdOf: () => null,
    newCellsOf: ({ fields }) => fields,
    async send(api, items) {
      const records = items.map(({ fields }) => ({ fields }));
      const written = await api.createRecords(baseId, table.id, records, { typecast });
      return confirmed(table, items, written, () => 'CREATED');
    },
  };
}

/** Changes the given cells and no others. */
export function updating({ baseId, table, typecast }: WritePlace): WriteCall<RecordToWrite & { id: string }> {
  return {
    recordIdOf: ({ id }) => id,
    newCellsOf: () => null,
    async send(api, items) {
      const records = items.map(({ id, fields }) => ({ id, fields }));
      const written = await api.updateRecords(baseId, table.id, records, { typecast });
      return confirmed(table, items, written, () => 'UPDATED');
    },
  };
}

/** Updates what has an id or is matched by the merge fields, creates the rest. */
export function upserting(
  { baseId, table, typecast }: WritePlace,
  mergeFields: readonly FieldSchema[],
): WriteCall<RecordToWrite> {
  const fieldsToMergeOn = mergeFields.map(({ id }) => id);
  return {
    recordIdOf: ({ id }) => id ?? null,
    newCellsOf: ({ id, fields }) => (id == null ? fields : null),
    async send(api, items) {
      const records = items.map(({ id, fields }) => (id == null ? { fields } : { id, fields }));
      const answer = await api.upsertRecords(baseId, table.id, records, { typecast, fieldsToMergeOn });
      const created = new Set(answer.createdRecords);
      return confirmed(table, items, answer, ({ id }) => (created.has(id) ? 'CREATED' : 'UPDATED'));
    },
  };
}

export function deleting({ baseId, table }: Omit<WritePlace, 'typecast'>): WriteCall<string> {
  return {
    recordIdOf: (id) => id,
    newCellsOf: () => null,
    async send(api, items) {
      const deleted = new Set(await api.deleteRecords(baseId, table.id, items));
      if (items.some((id) => !deleted.has(id))) {
        throw new AppError(
          'UPSTREAM_UNREADABLE',
          'The upstream did not confirm every deletion of this ten. Look which records are left.',
          { details: { outcome: 'unknown' } },
        );
      }
      return items.map((id) => ({ recordId: id, record: null, effect: 'DELETED', warning: null }));
    },
  };
}

function confirmed(
  table: TableSchema,
  items: readonly Pick<RecordToWrite, 'fields'>[],
  { records, details }: WrittenRecords,
  effectOn: (record: WireRecord) => 'CREATED' | 'UPDATED',
): Confirmed[] {
  return records.map((record, position) => ({
    recordId: record.id,
    record,
    effect: effectOn(record),
    warning: details ? attachmentWarning(table, items[position]?.fields ?? {}, details.reasons) : null,
  }));
}

/** The upstream tells of the ten as a whole that files are missing, so it's told of each of its records that were given some. */
function attachmentWarning(
  table: TableSchema,
  fields: Record<string, unknown>,
  reasons: readonly string[],
): string | null {
  const given = table.fields.filter(({ id, type }) => {
    const files = type === 'multipleAttachments' ? fields[id] : null;
    return Array.isArray(files) && files.length > 0;
  });
  if (given.length === 0) return null;
  const names = given.map(({ name }) => JSON.stringify(name)).join(', ');
  return `The service could not fetch every file of the ten that this record was sent in (${reasons.join(', ')}). Compare ${names} with what was sent, and add what is missing.`;
}
