import { operationSchemas } from '../../bases/schema.ts';
import type { TableSchema } from '../../bases/table-schema.ts';
import { isObject } from '../../calendly/cell-values.ts';
import { requireId } from '../../calendly/ids.ts';
import type { Operation } from '../../calendly/operation.ts';
import { AppError, type ErrorCode } from '../../errors.ts';
import type { GraphQLContext } from '../../graphql/context.ts';
import { maskError } from '../../graphql/error-masking.ts';
import { withTypedErrors } from '../../graphql/error-types.ts';
import { InvalidInput, type InputFault } from '../../graphql/invalid-input.ts';
import { requireListLength } from '../../graphql/list-slice.ts';
import { recordPlanner, writeScopes } from '../operation-records.ts';
import { nodeOf } from '../record-planner.ts';
import { canonicalJson, fingerprintOf, sha256 } from './fingerprint.ts';
import { addsChoices, dependsOnSchema, type Checked, type RecordToWrite } from './record-check.ts';
import type { ShownWrite } from './result-fields.ts';
import type { StoredWrite } from './stored-write.ts';
import type { WriteRequest } from './stored-writes.ts';
import { callsFor, statusOf, unsentResults, writeInTens } from './tens.ts';
import type { WriteCall } from './write-calls.ts';
import type { WriteResult } from './write-result.ts';

/** What all writes ask for. */
export interface WriteInput {
  connection: number;
  baseId: string;
  tableId: string;
  typecast?: boolean | null;
  idempotencyKey?: string | null;
  validateOnly?: boolean | null;
}

type WrittenItem = string | RecordToWrite;

/** One kind of write, before the table is known. */
export interface WriteKind<Item> {
  /** Its field of Mutation; a key is scoped to it. */
  mutation: string;
  /** The argument that lists the records, and how many it lists. */
  list: { argument: 'records' | 'ids'; length: number };
  /** Fields that an upsert matches by, as the caller named them. */
  mergesOn?: readonly string[];
  check(table: TableSchema): Checked<Item>[];
  call(table: TableSchema): WriteCall<Item>;
}

/** Refusals that say that the upstream's schema is not the one we know. */
const doubtsSchema: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'FIELD_NOT_FOUND',
  'TABLE_NOT_FOUND',
  'UPSTREAM_REJECTED',
]);

/** Carries out a write in the name of the operation. */
export function write<Item extends WrittenItem>(
  context: GraphQLContext,
  input: WriteInput,
  kind: WriteKind<Item>,
): Promise<ShownWrite> {
  return withTypedErrors(async () => {
    const { argument, length } = kind.list;
    requireListLength(argument, length);
    if (length === 0)
      throw new InvalidInput([{ path: [argument], message: `"${argument}" must not be empty` }]);
    requireId('app', input.baseId, 'baseId');
    context.caller.requireBase(input.connection, input.baseId);
    requireKey(input.idempotencyKey);
    if (!input.validateOnly) return claimAndSend(context, input, kind);
    const { table, entries } = await checkAgainstSchema(context, input, kind);
    const call = kind.call(table);
    return shown(
      input,
      table,
      entries,
      unsentResults(entries, (item) => call.recordIdOf(item)),
    );
  });
}

/** Carries the write out unless one with its key has been, and tells what became of it in either case. */
async function claimAndSend<Item extends WrittenItem>(
  context: GraphQLContext,
  input: WriteInput,
  kind: WriteKind<Item>,
): Promise<ShownWrite> {
  const { connection, baseId } = input;
  const { recordWrites, connections } = context.app;
  await connections.get(connection);
  // Stopping ends every wait, and what waits has not left.
  const signal = AbortSignal.any([
    recordWrites.stopping,
    ...(context.operation.signal ? [context.operation.signal] : []),
  ]);
  const operation = { ...context.operation, signal };
  const claim = await recordWrites.claim(requestOf(context, input, kind), operation);
  if ('results' in claim) {
    const readFrom = { connectionId: connection, baseId, tableId: claim.tableId };
    const results = claim.results.map((result) => ({ ...result, record: null, readFrom }));
    return { results, faults: [], upstreamCalls: 0, replayed: true };
  }
  try {
    const { table, entries } = await checkAgainstSchema(context, input, kind);
    const results = await send(context, input, {
      table,
      entries,
      call: kind.call(table),
      stored: claim.mine,
      operation,
    });
    await claim.mine.finished(results);
    return shown(input, table, entries, results);
  } catch (error) {
    await claim.mine.forgotten();
    throw error;
  } finally {
    recordWrites.release(claim.mine);
  }
}

function requestOf(
  { caller }: GraphQLContext,
  input: WriteInput,
  { mutation, list }: Pick<WriteKind<WrittenItem>, 'mutation' | 'list'>,
): WriteRequest {
  const { idempotencyKey, validateOnly: _, ...meant } = input;
  return {
    connectionId: input.connection,
    baseId: input.baseId,
    caller: caller.id,
    mutation,
    keyHash: idempotencyKey == null ? null : sha256(idempotencyKey),
    inputHash: idempotencyKey == null ? Buffer.alloc(0) : sha256(canonicalJson(meant)),
    recordCount: list.length,
  };
}

/** @throws InvalidInput unless it is 1 to 255 printable characters of ASCII */
function requireKey(key: string | null | undefined): void {
  if (key == null || /^[\x20-\x7e]{1,255}$/.test(key)) return;
  throw new InvalidInput([
    {
      path: ['idempotencyKey'],
      message: 'Idempotency key must be 1 to 255 printable ASCII characters, such as a UUID',
    },
  ]);
}

function shown(
  { connection, baseId }: WriteInput,
  table: TableSchema,
  entries: readonly Checked<unknown>[],
  results: readonly WriteResult[],
): ShownWrite {
  const place = { connectionId: connection, baseId, table };
  return {
    results: results.map((result) => ({
      ...result,
      record: result.record && nodeOf(place, result.record, 'all'),
      readFrom: null,
    })),
    faults: entries.flatMap(({ faults }) => faults),
    upstreamCalls: callsFor(entries),
    replayed: false,
  };
}

/** A fault that a newer schema might not see, such as a choice that was added since, has the schema read once more. */
async function checkAgainstSchema<Item>(
  context: GraphQLContext,
  { connection, baseId, tableId }: WriteInput,
  kind: WriteKind<Item>,
): Promise<{ table: TableSchema; entries: Checked<Item>[] }> {
  const schemas = operationSchemas(context);
  const table = await schemas.table(connection, baseId, tableId, kind.mergesOn);
  const entries = kind.check(table);
  if (!entries.some(({ faults }) => faults.some(dependsOnSchema))) return { table, entries };
  const newer = await schemas.doubted(connection, baseId, tableId);
  return newer ? { table: newer, entries: kind.check(newer) } : { table, entries };
}

async function send<Item extends WrittenItem>(
  context: GraphQLContext,
  { connection, baseId, typecast }: WriteInput,
  write: {
    table: TableSchema;
    entries: readonly Checked<Item>[];
    call: WriteCall<Item>;
    stored: StoredWrite;
    operation: Operation;
  },
): Promise<WriteResult[]> {
  const { table, entries, call, stored, operation } = write;
  const { upstream, recordReads, recordWrites } = context.app;
  const api = await upstream.api(connection, operation, writeScopes);
  const planner = recordPlanner(context);
  const schemas = operationSchemas(context);
  recordReads.forget(baseId);
  try {
    const results = await writeInTens(entries, {
      recordIdOf: (item) => call.recordIdOf(item),
      explain: (error) => explained(error, context),
      async send(ten) {
        recordWrites.stopping.throwIfAborted();
        await stored.sending(
          ten,
          table,
          ten.items.map(call.recordIdOf),
          fingerprintsOf(ten.items, call, table, stored.id),
        );
        try {
          const confirmed = await call.send(api, ten.items);
          await stored.ended(ten.ordinal, { state: 'WRITTEN', confirmed });
          return confirmed;
        } catch (error) {
          const told = error instanceof AppError ? error : new AppError('INTERNAL', 'It could not be sent.');
          const state = error instanceof AppError ? statusOf(error) : 'NOT_SENT';
          await stored.ended(ten.ordinal, { state, error: told });
          throw error;
        }
      },
    });
    if (
      results.some(({ error }) => error?.details.upstreamStatus !== undefined && doubtsSchema.has(error.code))
    )
      schemas.forgetShared(baseId);
    return results;
  } finally {
    // Whatever was written shows in what this operation, and whoever begins after it, reads from here on.
    planner.forgetRecords();
    recordReads.forget(baseId);
    if (typecast && addsChoices(entries, table)) schemas.forget(connection, baseId);
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

/** Logs the failure and tells of it what the answer would tell if the whole field failed. */
function explained(error: unknown, { app }: GraphQLContext): AppError {
  const { message, extensions } = maskError(error, app.logger);
  return new AppError(extensions.code as ErrorCode, message, { cause: error });
}

/** @throws InvalidInput naming every record whose `fields` is no object */
export function recordsToWrite<Given extends { fields?: unknown }>(
  given: readonly Given[],
): (Given & { fields: Record<string, unknown> })[] {
  const faults: InputFault[] = [];
  const records = given.map((record, index) => {
    const { fields } = record;
    if (isObject(fields)) return { ...record, fields };
    faults.push({
      path: ['records', String(index), 'fields'],
      message: '"fields" must be an object of cells by field name',
    });
    return { ...record, fields: {} };
  });
  if (faults.length > 0) throw new InvalidInput(faults);
  return records;
}
