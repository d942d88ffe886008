import type { TableSchema } from '../bases/table-schema.ts';
import { maxRecordsPerWrite, type CalendlyApi } from '../calendly/api.ts';
import { requireId } from '../calendly/ids.ts';
import type { WireRecord } from '../calendly/wire.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import { chunksOf } from './record-planner.ts';

export const writeStatuses = {
  WRITTEN: 'The service confirmed it.',
  FAILED:
    'It had no effect. `error` says why. What the service refuses, it refuses for the whole ten that was sent together.',
  NOT_SENT: 'It was not sent at all. `error` says why; sending it again is safe.',
  OUTCOME_UNKNOWN:
    'It was sent and the answer was lost, so nobody knows whether it took effect. Look before you send it again.',
} as const;
export type WriteStatus = keyof typeof writeStatuses;

export interface WriteResult {
  /** Place in the input, from 0. */
  index: number;
  status: WriteStatus;
  /** Null for a creation without a known outcome. */
  recordId: string | null;
  /** As the upstream answered; null for deletions and for what was not written. */
  record: WireRecord | null;
  error: AppError | null;
}

export interface RecordToWrite {
  /** Absent for creations. */
  id?: string;
  /** By field id or name. */
  fields: Record<string, unknown>;
}

export interface WritePlace {
  baseId: string;
  table: TableSchema;
  /** Notes a failure that is none of ours to foresee, such as our database's, and says what callers may read of it. */
  explain(error: unknown): AppError;
}

interface Write<Item> {
  /** Sends at most ten and answers in their order. */
  send(items: Item[]): Promise<Pick<WriteResult, 'recordId' | 'record'>[]>;
  recordIdOf(item: Item): string | null;
  explain: WritePlace['explain'];
}

/** Failures that would meet every further ten as well. */
const endsTheWrite: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'CONNECTION_NOT_CONNECTED',
  'CONNECTION_NOT_FOUND',
  'SCOPE_MISSING',
  'UPSTREAM_FORBIDDEN',
  'UPSTREAM_MONTHLY_LIMIT',
  'UPSTREAM_RATE_LIMITED',
  'UPSTREAM_CALLS_EXCEEDED',
  'TABLE_NOT_FOUND',
  'DEADLINE_EXCEEDED',
  'DATABASE_UNAVAILABLE',
  'SHUTTING_DOWN',
]);
/** Tens that may fail one after the other for want of an upstream before the rest is given up. */
const maxUnavailableInARow = 2;

/** Creates in the order of the input, ten at a time. */
export function createRecords(
  api: CalendlyApi,
  place: WritePlace & { typecast: boolean },
  records: readonly RecordToWrite[],
): Promise<WriteResult[]> {
  const { baseId, table, typecast, explain } = place;
  return writeInTens(checkFields(records, table), {
    explain,
    recordIdOf: () => null,
    async send(items) {
      const written = await api.createRecords(
        baseId,
        table.id,
        items.map(({ fields }) => ({ fields })),
        { typecast },
      );
      return written.map((record) => ({ recordId: record.id, record }));
    },
  });
}

/** Changes the given cells and no others. */
export function updateRecords(
  api: CalendlyApi,
  place: WritePlace & { typecast: boolean },
  records: readonly (RecordToWrite & { id: string })[],
): Promise<WriteResult[]> {
  const { baseId, table, typecast, explain } = place;
  const checked = checkIds(checkFields(records, table), ({ id }) => id);
  return writeInTens(checked, {
    explain,
    recordIdOf: ({ id }) => id,
    async send(items) {
      const written = await api.updateRecords(baseId, table.id, items, { typecast });
      return written.map((record) => ({ recordId: record.id, record }));
    },
  });
}

export function deleteRecords(
  api: CalendlyApi,
  place: WritePlace,
  ids: readonly string[],
): Promise<WriteResult[]> {
  const checked = checkIds(
    ids.map((item) => ({ item, error: null })),
    (id) => id,
  );
  return writeInTens(checked, {
    explain: place.explain,
    recordIdOf: (id) => id,
    async send(items) {
      const deleted = new Set(await api.deleteRecords(place.baseId, place.table.id, items));
      if (items.some((id) => !deleted.has(id))) {
        throw new AppError(
          'UPSTREAM_UNREADABLE',
          'The upstream did not confirm every deletion of this ten. Look which records are left.',
          {
            details: { outcome: 'unknown' },
          },
        );
      }
      return items.map((id) => ({ recordId: id, record: null }));
    },
  });
}

/** One entry of the input, and what is wrong with it as far as we can tell without asking. */
interface Checked<Item> {
  item: Item;
  error: AppError | null;
}

/** Unknown fields are found here, so that they fail alone and not with nine others. Keys become ids. */
function checkFields<Item extends RecordToWrite>(
  records: readonly Item[],
  table: TableSchema,
): Checked<Item>[] {
  return records.map((record) => {
    const fields: Record<string, unknown> = {};
    try {
      for (const [name, value] of Object.entries(record.fields)) {
        const field = table.getField(name);
        if (Object.hasOwn(fields, field.id)) throw namedTwice(field.name);
        fields[field.id] = value;
      }
    } catch (error) {
      if (error instanceof AppError) return { item: record, error };
      throw error;
    }
    return { item: { ...record, fields }, error: null };
  });
}

function namedTwice(fieldName: string): AppError {
  return new AppError(
    'INVALID_INPUT',
    `The field ${JSON.stringify(fieldName)} is given twice, by name and by id. Give it once.`,
  );
}

function checkIds<Item>(entries: readonly Checked<Item>[], idOf: (item: Item) => string): Checked<Item>[] {
  const seen = new Set<string>();
  return entries.map(({ item, error }) => {
    const id = idOf(item);
    if (error) return { item, error };
    const malformed = faultOfId(id);
    if (malformed) return { item, error: malformed };
    if (seen.has(id)) {
      return {
        item,
        error: new AppError('INVALID_INPUT', `The record ${id} is given twice in one write. Give it once.`),
      };
    }
    seen.add(id);
    return { item, error: null };
  });
}

function faultOfId(id: string): AppError | null {
  try {
    requireId('rec', id);
    return null;
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
}

/**
 * Sends what passed the checks, ten by ten and in order. A ten is written as a whole or not at all, so its refusal is
 * told for each of its records and the next ten goes on; what would meet every further ten ends the write instead.
 */
async function writeInTens<Item>(
  entries: readonly Checked<Item>[],
  write: Write<Item>,
): Promise<WriteResult[]> {
  const results: WriteResult[] = entries.map(({ item, error }, index) => ({
    index,
    status: 'FAILED',
    recordId: write.recordIdOf(item),
    record: null,
    error,
  }));
  const sendable = [...entries.keys()].filter((index) => entries[index]!.error === null);
  let ended: AppError | null = null;
  let unavailableInARow = 0;
  for (const indexes of chunksOf(sendable, maxRecordsPerWrite)) {
    if (ended) {
      settle(results, indexes, 'NOT_SENT', ended);
      continue;
    }
    try {
      const written = await write.send(indexes.map((index) => entries[index]!.item));
      for (const [position, index] of indexes.entries()) {
        results[index] = { index, status: 'WRITTEN', ...written[position]!, error: null };
      }
      unavailableInARow = 0;
    } catch (error) {
      if (!(error instanceof AppError)) {
        // What the upstream's client throws beside its own errors came from us, before anything could take effect.
        ended = write.explain(error);
        settle(results, indexes, 'NOT_SENT', ended);
        continue;
      }
      settle(results, indexes, statusOf(error), error);
      unavailableInARow = error.code === 'UPSTREAM_UNAVAILABLE' ? unavailableInARow + 1 : 0;
      if (endsTheWrite.has(error.code) || unavailableInARow >= maxUnavailableInARow) ended = error;
    }
  }
  return results;
}

function settle(
  results: WriteResult[],
  indexes: readonly number[],
  status: WriteStatus,
  error: AppError,
): void {
  for (const index of indexes) results[index] = { ...results[index]!, status, error };
}

function statusOf(error: AppError): WriteStatus {
  if (error.details.outcome === 'unknown') return 'OUTCOME_UNKNOWN';
  // Without an answer of the upstream the failure came before anything was sent: "refused" would be the wrong word.
  const neverLeft = error.code === 'UPSTREAM_UNAVAILABLE' || endsTheWrite.has(error.code);
  return neverLeft && error.details.upstreamStatus === undefined ? 'NOT_SENT' : 'FAILED';
}
