import type { TableSchema } from '../../bases/table-schema.ts';
import { requireId } from '../../calendly/ids.ts';
import { nodeOf, originOf, type RecordNode } from '../record-node.ts';
import type { RecordSelection } from '../record-selection.ts';
import { oneOf, type RecordWork, type TablePlace } from '../record-work.ts';
import { canonicalJson, sha256 } from './fingerprint.ts';
import { requireIdempotencyKey } from './idempotency-key.ts';
import { dependsOnSchema, type Checked, type RecordToWrite } from './record-check.ts';
import { send } from './sending.ts';
import { callsFor, unsentResults } from './tens.ts';
import type { WriteCall } from './write-calls.ts';
import type { WriteFault, WriteResult } from './write-result.ts';

/** What all writes ask for. */
export interface WriteRequest {
  connection: number;
  baseId: string;
  tableId: string;
  typecast?: boolean | null;
  idempotencyKey?: string | null;
  validateOnly?: boolean | null;
}

/** One kind of write, before the table is known. */
export interface WriteKind<Item> {
  /** The field of Mutation that it came by; a key is scoped to it. */
  mutation: string;
  /** What a key stands for: with the same key it has to be the same again. */
  meant: object;
  recordCount: number;
  /** Fields that an upsert matches by, as the caller named them. */
  mergesOn?: readonly string[];
  check(table: TableSchema): Checked<Item>[];
  call(table: TableSchema): WriteCall<Item>;
}

export type ToldResult = Omit<WriteResult, 'record'> & {
  record: RecordNode | null;
  /** Where to read the record of a write that is told again: its cells are not kept. */
  readFrom: (TablePlace & { tableId: string }) | null;
};

/** What became of a write. */
export interface ToldWrite {
  results: ToldResult[];
  faults: WriteFault[];
  /** Calls that it took or, if it was only checked, would take. */
  upstreamCalls: number;
  /** Whether an earlier write with the same key has done it. */
  replayed: boolean;
}

/**
 * Carries out a write of at least one record, unless one with its key has been, and tells what became of it in either case.
 * @throws AppError when it came to nothing as a whole; what became of single records is told in the results
 */
export async function write<Item extends string | RecordToWrite>(
  work: RecordWork,
  request: WriteRequest,
  kind: WriteKind<Item>,
): Promise<ToldWrite> {
  requireId('app', request.baseId, 'baseId');
  work.caller.requireBase(request.connection, request.baseId);
  requireIdempotencyKey(request.idempotencyKey);
  if (!request.validateOnly) return claimAndSend(work, request, kind);
  const { table, entries } = await checkAgainstSchema(work, request, kind);
  const call = kind.call(table);
  return told(
    request,
    table,
    entries,
    unsentResults(entries, (item) => call.recordIdOf(item)),
    work.services.clock.now(),
  );
}

/** The record after the write, read now if the write is told again; null unless it was created or updated. */
export async function writtenRecord(
  work: RecordWork,
  { record, recordId, effect, readFrom }: ToldResult,
  selection: RecordSelection,
): Promise<RecordNode | null> {
  if (record || !readFrom || recordId === null || effect === null || effect === 'DELETED') return record;
  return oneOf(await work.lookUp(readFrom, readFrom.tableId, [recordId], selection, 1));
}

async function claimAndSend<Item extends string | RecordToWrite>(
  work: RecordWork,
  request: WriteRequest,
  kind: WriteKind<Item>,
): Promise<ToldWrite> {
  const { connection: connectionId, baseId, idempotencyKey: key } = request;
  const { recordWrites, connections } = work.services;
  await connections.get(connectionId);
  // Stopping ends every wait, and what waits has not left.
  const signal = AbortSignal.any([
    recordWrites.stopping,
    ...(work.operation.signal ? [work.operation.signal] : []),
  ]);
  const operation = { ...work.operation, signal };
  const claim = await recordWrites.claim(
    {
      connectionId,
      baseId,
      caller: work.caller.id,
      mutation: kind.mutation,
      keyHash: key == null ? null : sha256(key),
      // Of an action that names its connection, the name may have passed to another one since.
      inputHash: key == null ? Buffer.alloc(0) : sha256(canonicalJson({ connectionId, meant: kind.meant })),
      recordCount: kind.recordCount,
    },
    operation,
  );
  if ('results' in claim) {
    const readFrom = { connectionId, baseId, tableId: claim.tableId };
    const results = claim.results.map((result) => ({ ...result, record: null, readFrom }));
    return { results, faults: [], upstreamCalls: 0, replayed: true };
  }
  const stored = claim.mine;
  try {
    const { table, entries } = await checkAgainstSchema(work, request, kind);
    const typecast = request.typecast ?? false;
    const call = kind.call(table);
    const held = { ...operation, refusal: () => stored.refusal() };
    const write = { connectionId, baseId, table, typecast, entries, call, stored, operation: held };
    const askedAt = work.services.clock.now();
    return told(request, table, entries, await send(work, write), askedAt);
  } catch (error) {
    await stored.forgotten();
    throw error;
  } finally {
    recordWrites.release(stored);
  }
}

/** A fault that a newer schema might not see, such as a choice that was added since, has the schema read once more. */
async function checkAgainstSchema<Item>(
  { schemas }: RecordWork,
  { connection, baseId, tableId }: WriteRequest,
  kind: WriteKind<Item>,
): Promise<{ table: TableSchema; entries: Checked<Item>[] }> {
  const table = await schemas.table(connection, baseId, tableId, kind.mergesOn);
  const entries = kind.check(table);
  if (!entries.some(({ faults }) => faults.some(dependsOnSchema))) return { table, entries };
  const newer = await schemas.doubted(connection, baseId, tableId);
  return newer ? { table: newer, entries: kind.check(newer) } : { table, entries };
}

function told(
  { connection, baseId }: WriteRequest,
  table: TableSchema,
  entries: readonly Checked<unknown>[],
  results: readonly WriteResult[],
  askedAt: number,
): ToldWrite {
  const place = { connectionId: connection, baseId, table };
  const origin = originOf(place, { known: 'all', readAt: askedAt, level: 1 });
  return {
    results: results.map((result) => ({
      ...result,
      record: result.record && nodeOf(origin, result.record),
      readFrom: null,
    })),
    faults: entries.flatMap(({ faults }) => faults),
    upstreamCalls: callsFor(entries),
    replayed: false,
  };
}
