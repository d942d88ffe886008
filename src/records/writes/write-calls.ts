import type { FieldSchema, TableSchema } from '../../bases/table-schema.ts';
import type { CalendlyApi } from '../../calendly/api.ts';
import type { WireRecord } from '../../calendly/wire.ts';
import { AppError } from '../../errors.ts';
import type { RecordToWrite } from './record-check.ts';
import type { WriteResult } from './write-result.ts';

/** What the upstream confirmed of one record. */
export type Confirmed = Pick<WriteResult, 'recordId' | 'record' | 'effect'>;

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
      return written.map((record) => confirmed(record, 'CREATED'));
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
      return written.map((record) => confirmed(record, 'UPDATED'));
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
      return answer.records.map((record) =>
        confirmed(record, created.has(record.id) ? 'CREATED' : 'UPDATED'),
      );
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
      return items.map((id) => ({ recordId: id, record: null, effect: 'DELETED' }));
    },
  };
}

function confirmed(record: WireRecord, effect: 'CREATED' | 'UPDATED'): Confirmed {
  return { recordId: record.id, record, effect };
}
