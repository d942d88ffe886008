import { operationSchemas } from '../../bases/schema.ts';
import type { TableSchema } from '../../bases/table-schema.ts';
import { isObject } from '../../calendly/cell-values.ts';
import { requireId } from '../../calendly/ids.ts';
import { AppError, type ErrorCode } from '../../errors.ts';
import type { GraphQLContext } from '../../graphql/context.ts';
import { maskError } from '../../graphql/error-masking.ts';
import { withTypedErrors } from '../../graphql/error-types.ts';
import { InvalidInput, type InputFault } from '../../graphql/invalid-input.ts';
import { requireListLength } from '../../graphql/list-slice.ts';
import { recordPlanner, writeScopes } from '../operation-records.ts';
import { nodeOf } from '../record-planner.ts';
import { addsChoices, dependsOnSchema, type Checked } from './record-check.ts';
import type { ShownWrite } from './result-fields.ts';
import { callsFor, unsentResults, writeInTens } from './tens.ts';
import type { WriteCall } from './write-calls.ts';
import type { WriteResult } from './write-result.ts';

/** What all writes ask for. */
export interface WriteInput {
  connection: number;
  baseId: string;
  tableId: string;
  typecast?: boolean | null;
  validateOnly?: boolean | null;
}

/** One kind of write, before the table is known. */
export interface WriteKind<Item> {
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
export function write<Item extends string | { fields: Record<string, unknown> }>(
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
    const { table, entries } = await checkAgainstSchema(context, input, kind);
    const call = kind.call(table);
    const results = input.validateOnly
      ? unsentResults(entries, (item) => call.recordIdOf(item))
      : await send(context, input, table, entries, call);
    return {
      results: results.map((result) => ({
        ...result,
        record:
          result.record &&
          nodeOf({ connectionId: input.connection, baseId: input.baseId, table }, result.record, 'all'),
      })),
      faults: entries.flatMap(({ faults }) => faults),
      upstreamCalls: callsFor(entries),
    };
  });
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

async function send<Item extends string | { fields: Record<string, unknown> }>(
  context: GraphQLContext,
  { connection, baseId, typecast }: WriteInput,
  table: TableSchema,
  entries: readonly Checked<Item>[],
  call: WriteCall<Item>,
): Promise<WriteResult[]> {
  const api = await context.app.upstream.api(connection, context.operation, writeScopes);
  const planner = recordPlanner(context);
  const schemas = operationSchemas(context);
  const { recordReads } = context.app;
  recordReads.forget(baseId);
  try {
    const results = await writeInTens(entries, {
      recordIdOf: (item) => call.recordIdOf(item),
      send: ({ items }) => call.send(api, items),
      explain: (error) => explained(error, context),
    });
    if (results.some(({ error }) => error !== null && doubtsSchema.has(error.code)))
      schemas.forgetShared(baseId);
    return results;
  } finally {
    // Whatever was written shows in what this operation, and whoever begins after it, reads from here on.
    planner.forgetRecords();
    recordReads.forget(baseId);
    if (typecast && addsChoices(entries, table)) schemas.forget(connection, baseId);
  }
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
