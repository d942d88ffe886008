import { AppError, errorCodes, type ErrorCode } from '../../errors.ts';
import type { WriteEffect, WriteResult, WriteStatus } from './write-result.ts';

/** A write as it is stored. */
export interface OperationRow {
  id: string;
  connection_id: number;
  base_id: string;
  table_id: string | null;
  input_hash: Buffer;
  record_count: number;
  computed_fields: string[];
  finished_at: Date | null;
  unsent: UnsentRecords[];
  /** Whether its instance is taken for dead. */
  abandoned: boolean;
}

/** Records that were in no ten, and why. */
export interface UnsentRecords {
  indexes: number[];
  status: WriteStatus;
  recordIds: (string | null)[];
  code: string;
  message: string;
}

/** Up to ten records that left in one call. The lists are parallel. */
export interface TenRow {
  ordinal: number;
  state: WriteStatus | 'SENDING';
  indexes: number[];
  record_ids: (string | null)[];
  effects: WriteEffect[] | null;
  fingerprints: (Buffer | null)[] | null;
  settled_ids: (string | null)[] | null;
  error_code: string | null;
  error_message: string | null;
  warnings: (string | null)[] | null;
  sent_at: Date;
}

/** What is told of a write when its key is given again. `operation` is finished. */
export function resultsOf(operation: OperationRow, tens: readonly TenRow[]): WriteResult[] {
  const results: WriteResult[] = Array.from({ length: operation.record_count }, (_, index) =>
    result(index, 'NOT_SENT', { error: diedBeforeSending() }),
  );
  for (const { indexes, status, recordIds, code, message } of operation.unsent) {
    for (const [position, index] of indexes.entries()) {
      results[index] = result(index, status, {
        recordId: recordIds[position],
        error: errorFrom(code, message),
      });
    }
  }
  for (const ten of tens) {
    for (const [position, index] of ten.indexes.entries()) results[index] = resultOf(ten, position, index);
  }
  return results;
}

function resultOf(ten: TenRow, position: number, index: number): WriteResult {
  const recordId = ten.record_ids[position] ?? null;
  const settledId = ten.settled_ids?.[position];
  if (settledId != null) return result(index, 'WRITTEN', { recordId: settledId, effect: 'CREATED' });
  switch (ten.state) {
    case 'WRITTEN':
      return result(index, 'WRITTEN', {
        recordId,
        effect: ten.effects?.[position],
        warning: ten.warnings?.[position],
      });
    case 'SENDING':
      return result(index, 'OUTCOME_UNKNOWN', { recordId, error: diedWhileSending() });
    case 'FAILED':
    case 'NOT_SENT':
    case 'OUTCOME_UNKNOWN':
      return result(index, ten.state, {
        recordId,
        error:
          ten.error_code === null ? diedWhileSending() : errorFrom(ten.error_code, ten.error_message ?? ''),
      });
  }
}

function result(
  index: number,
  status: WriteStatus,
  known: { recordId?: string | null; effect?: WriteEffect | null; warning?: string | null; error?: AppError },
): WriteResult {
  const { recordId = null, effect = null, warning = null, error = null } = known;
  return { index, status, recordId, effect, record: null, error, warning };
}

function errorFrom(code: string, message: string): AppError {
  return new AppError(Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : 'INTERNAL', message);
}

function diedWhileSending(): AppError {
  return new AppError(
    'INTERNAL',
    'The server that sent it ended before it could store the answer, so nobody knows whether it took effect. Look before you send it again.',
  );
}

function diedBeforeSending(): AppError {
  return new AppError(
    'INTERNAL',
    'The server that carried out the write ended before this record was sent. Send it again with another key.',
  );
}
