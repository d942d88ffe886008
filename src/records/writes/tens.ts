import { maxRecordsPerWrite } from '../../calendly/api.ts';
import { AppError, type ErrorCode } from '../../errors.ts';
import { chunksOf } from '../record-planner.ts';
import { errorOf, type Checked } from './record-check.ts';
import type { Confirmed } from './write-calls.ts';
import type { WriteResult, WriteStatus } from './write-result.ts';

/** Records that leave in one call, by their place in the input. */
export interface Ten<Item> {
  /** Counts the tens of a write from 0. */
  ordinal: number;
  indexes: readonly number[];
  items: Item[];
}

export interface TenSender<Item> {
  recordIdOf(item: Item): string | null;
  /** Sends at most ten and answers in their order. */
  send(ten: Ten<Item>): Promise<Confirmed[]>;
  /** Says what callers may read of a failure that is none of ours to foresee, such as our database's. */
  explain(error: unknown): AppError;
}

/** Failures that would meet every further ten as well. */
const endsTheWrite: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'CONNECTION_NOT_CONNECTED',
  'CONNECTION_NOT_FOUND',
  'SCOPE_MISSING',
  'UPSTREAM_MONTHLY_LIMIT',
  'UPSTREAM_RATE_LIMITED',
  'UPSTREAM_CALLS_EXCEEDED',
  'TABLE_NOT_FOUND',
  'DEADLINE_EXCEEDED',
  'DATABASE_UNAVAILABLE',
  'SHUTTING_DOWN',
]);
/** May be of this ten alone: an upstream that is back for the next one, or a record that is gone or a field that is locked. */
const endsTheWriteInARow: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'UPSTREAM_UNAVAILABLE',
  'UPSTREAM_FORBIDDEN',
]);
/** Tens that may fail so, one after the other, before the rest is given up. */
const maxInARow = 2;

/** How many calls a write needs at least. */
export function callsFor(entries: readonly Checked<unknown>[]): number {
  return Math.ceil(entries.filter(({ faults }) => faults.length === 0).length / maxRecordsPerWrite);
}

/** The results before anything is sent: FAILED for what has faults, NOT_SENT without an error for the rest. */
export function unsentResults<Item>(
  entries: readonly Checked<Item>[],
  recordIdOf: (item: Item) => string | null,
): WriteResult[] {
  return entries.map(({ item, faults }, index) => ({
    index,
    status: faults.length > 0 ? 'FAILED' : 'NOT_SENT',
    recordId: recordIdOf(item),
    effect: null,
    record: null,
    error: errorOf(faults),
    warning: null,
  }));
}

/**
 * Sends what passed the checks, ten by ten and in order. A ten is written as a whole or not at all, so its refusal is
 * told for each of its records and the next ten goes on; what would meet every further ten ends the write instead.
 */
export async function writeInTens<Item>(
  entries: readonly Checked<Item>[],
  sender: TenSender<Item>,
): Promise<WriteResult[]> {
  const results = unsentResults(entries, (item) => sender.recordIdOf(item));
  const sendable = [...entries.keys()].filter((index) => entries[index]!.faults.length === 0);
  let ended: AppError | null = null;
  let inARow = 0;
  for (const [ordinal, indexes] of chunksOf(sendable, maxRecordsPerWrite).entries()) {
    if (ended) {
      settle(results, indexes, 'NOT_SENT', ended);
      continue;
    }
    try {
      const items = indexes.map((index) => entries[index]!.item);
      const written = await sender.send({ ordinal, indexes, items });
      for (const [position, index] of indexes.entries()) {
        results[index] = { index, status: 'WRITTEN', ...written[position]!, error: null };
      }
      inARow = 0;
    } catch (error) {
      if (!(error instanceof AppError)) {
        // What the upstream's client throws beside its own errors came from us, before anything could take effect.
        ended = sender.explain(error);
        settle(results, indexes, 'NOT_SENT', ended);
        continue;
      }
      settle(results, indexes, statusOf(error), error);
      inARow = endsTheWriteInARow.has(error.code) ? inARow + 1 : 0;
      if (endsTheWrite.has(error.code) || inARow >= maxInARow) ended = error;
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

/** What a failed call means for the records of its ten. */
export function statusOf(error: AppError): Exclude<WriteStatus, 'WRITTEN'> {
  if (error.details.outcome === 'unknown') return 'OUTCOME_UNKNOWN';
  // Without an answer of the upstream the failure came before anything was sent: "refused" would be the wrong word.
  const neverLeft = endsTheWriteInARow.has(error.code) || endsTheWrite.has(error.code);
  return neverLeft && error.details.upstreamStatus === undefined ? 'NOT_SENT' : 'FAILED';
}
