import type { TableSchema } from '../../bases/table-schema.ts';
import { deadlineExceeded } from '../../calendly/ended-early.ts';
import type { Operation } from '../../calendly/operation.ts';
import { AppError, type ErrorCode } from '../../errors.ts';
import type { RecordWork } from '../record-work.ts';
import { fingerprintOf } from './fingerprint.ts';
import { addsChoices, type Checked, type RecordToWrite } from './record-check.ts';
import type { StoredWrite } from './stored-write.ts';
import { statusOf, writeInTens, type Ten } from './tens.ts';
import type { Confirmed, WriteCall } from './write-calls.ts';
import type { WriteResult } from './write-result.ts';

/** Refusals that say that the upstream's schema is not the one we know. */
const doubtsSchema: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'FIELD_NOT_FOUND',
  'TABLE_NOT_FOUND',
  'UPSTREAM_REJECTED',
]);

/** No ten leaves that has less time left than so many times what the longest before it took. */
const tensToSpare = 2;

/** A write whose records have been checked. */
export interface SendableWrite<Item> {
  connectionId: number;
  baseId: string;
  table: TableSchema;
  typecast: boolean;
  entries: readonly Checked<Item>[];
  call: WriteCall<Item>;
  stored: StoredWrite;
  /** Also ends when the server stops. */
  operation: Operation;
}

/**
 * Sends what has no faults. Around it, everything that was read before, here and by reads on their way, is forgotten: any
 * record may change with these, by its links and formulas.
 */
export async function send<Item extends string | RecordToWrite>(
  work: RecordWork,
  write: SendableWrite<Item>,
): Promise<WriteResult[]> {
  const { connectionId, baseId, table, typecast, entries, call, stored, operation } = write;
  const { recordReads, recordWrites } = work.services;
  const api = await work.openForWriting(connectionId, operation);
  recordReads.forget(baseId);
  const { clock } = work.services;
  let longestMs = 0;
  try {
    const results = await writeInTens(entries, {
      recordIdOf: (item) => call.recordIdOf(item),
      explain: work.explain,
      async send(ten) {
        recordWrites.stopping.throwIfAborted();
        // What leaves and is not answered in time is neither written nor unwritten, so it had better stay.
        if (operation.deadline - clock.now() < longestMs * tensToSpare) throw deadlineExceeded();
        const startedAt = performance.now();
        const confirmed = await sendTen(ten, write, () => call.send(api, ten.items));
        longestMs = Math.max(longestMs, performance.now() - startedAt);
        return confirmed;
      },
    });
    const refused = ({ error }: WriteResult) =>
      error?.details.upstreamStatus !== undefined && doubtsSchema.has(error.code);
    if (results.some(refused)) work.schemas.forgetShared(baseId);
    await stored.finished(results);
    return results;
  } finally {
    // Whatever was written shows in what this operation, and whoever begins after it, reads from here on.
    work.planner.forgetRecords();
    recordReads.forget(baseId);
    if (typecast && addsChoices(entries, table)) work.schemas.forget(connectionId, baseId);
  }
}

/** Stored before it leaves, and with its outcome. */
async function sendTen<Item>(
  ten: Ten<Item>,
  { call, table, stored }: SendableWrite<Item>,
  sendItems: () => Promise<Confirmed[]>,
): Promise<Confirmed[]> {
  const recordIds = ten.items.map((item) => call.recordIdOf(item));
  await stored.sending(ten, table, recordIds, fingerprintsOf(ten.items, call, table, stored.id));
  try {
    const confirmed = await sendItems();
    await stored.ended(ten.ordinal, { state: 'WRITTEN', confirmed });
    return confirmed;
  } catch (error) {
    const told = error instanceof AppError ? error : new AppError('INTERNAL', 'It could not be sent.');
    const state = error instanceof AppError ? statusOf(error) : 'NOT_SENT';
    await stored.ended(ten.ordinal, { state, error: told });
    throw error;
  }
}

/** What the records of a ten can be told by in the change log, should their answer be lost. */
function fingerprintsOf<Item>(
  items: readonly Item[],
  call: WriteCall<Item>,
  table: TableSchema,
  salt: string,
): (Buffer | null)[] | null {
  const prints = items.map((item) => {
    const cells = call.newCellsOf(item);
    return cells && fingerprintOf(cells, table, salt);
  });
  return prints.some((print) => print !== null) ? prints : null;
}
