import type { BaseSchemas } from '../../bases/base-schemas.ts';
import { AppError, type ErrorCode } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { RecordServices, RecordWork } from '../../records/record-work.ts';
import { unattendedWork } from '../../records/unattended-work.ts';
import { checkIds, checkRecords, type RecordToWrite } from '../../records/writes/record-check.ts';
import { write, type ToldResult, type WriteRequest } from '../../records/writes/record-write.ts';
import { creating, deleting, updating } from '../../records/writes/write-calls.ts';
import type { StoredPush } from './in-flight.ts';
import type { Sync } from '../sync.ts';

/** One call for up to ten records, waits for the rate limit included, in milliseconds. */
const callDeadlineMs = 60_000;
/** How the writes of syncs are remembered. */
const mutation = 'sync';

export interface PushCallDeps {
  services: RecordServices;
  schemas: BaseSchemas;
  logger: Logger;
}

/** What ends a call without telling whether anything has left: asking again with the same key tells. */
const unclear: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'DEADLINE_EXCEEDED',
  'DATABASE_UNAVAILABLE',
  'SHUTTING_DOWN',
  'INTERNAL',
]);

/**
 * What became of a batch: a result for each of its records, or why it did not come to that; without an error when it has not
 * left and is not to leave any more.
 */
export type PushOutcome = { results: ToldResult[] } | { error: AppError | null; isUnclear: boolean };

/** The sync pulls by now. */
class NotToLeave extends Error {}

/**
 * Sends a batch as a stored write, with the batch as its idempotency key: sent again, after a crash or by another instance,
 * it tells what became of the first time. Of a sync that pulls by now it is only asked what became of it.
 */
export async function sendBatch(
  deps: PushCallDeps,
  sync: Sync,
  batch: readonly StoredPush[],
  signal: AbortSignal,
): Promise<PushOutcome> {
  const [first] = batch;
  if (!first) return { results: [] };
  const work = workFor(deps, sync, signal);
  const request: WriteRequest = {
    connection: sync.connectionId,
    baseId: sync.baseId,
    tableId: sync.tableId,
    idempotencyKey: first.batch,
  };
  try {
    const mayLeave = () => {
      if (sync.direction === 'pull') throw new NotToLeave();
    };
    return { results: (await sendKind(work, request, first.kind, batch, mayLeave)).results };
  } catch (failure) {
    if (failure instanceof NotToLeave) return { error: null, isUnclear: false };
    const error = work.explain(failure);
    return { error, isUnclear: unclear.has(error.code) };
  }
}

function sendKind(
  work: RecordWork,
  request: WriteRequest,
  kind: StoredPush['kind'],
  batch: readonly StoredPush[],
  /** Called before it leaves for the first time. */
  mayLeave: () => void,
) {
  const { baseId } = request;
  const records = batch.map(({ recordId, cells }) => ({ id: recordId ?? '', fields: { ...cells } }));
  const common = { mutation, meant: { kind, records }, recordCount: batch.length };
  const mode = { typecast: false };
  const checked = <Checked>(check: () => Checked): Checked => {
    mayLeave();
    return check();
  };
  switch (kind) {
    case 'create': {
      const made = records.map(({ fields }): RecordToWrite => ({ fields }));
      return write<RecordToWrite>(work, request, {
        ...common,
        check: (table) => checked(() => checkRecords(made, table, mode)),
        call: (table) => creating({ baseId, table, ...mode }),
      });
    }
    case 'update':
      return write<RecordToWrite & { id: string }>(work, request, {
        ...common,
        check: (table) => checked(() => checkRecords(records, table, mode)),
        call: (table) => updating({ baseId, table, ...mode }),
      });
    case 'delete':
      return write<string>(work, request, {
        ...common,
        check: () => checked(() => checkIds(records.map(({ id }) => id))),
        call: (table) => deleting({ baseId, table }),
      });
  }
}

function workFor(deps: PushCallDeps, sync: Sync, signal: AbortSignal): RecordWork {
  return unattendedWork(deps, {
    id: `sync:${sync.id}`,
    connectionId: sync.connectionId,
    baseId: sync.baseId,
    deadlineMs: callDeadlineMs,
    signal,
    explain: (error) => {
      if (error instanceof AppError) return error;
      deps.logger.error({ err: error, sync: sync.id }, 'changes of a sync could not be sent');
      return new AppError('INTERNAL', 'Something went wrong on our side; the log tells more.');
    },
  });
}
