import { findTable } from '../bases/schema.ts';
import type { CalendlyApi } from '../calendly/api.ts';
import { isObject } from '../calendly/cell-values.ts';
import { requireId } from '../calendly/ids.ts';
import { connectionArgument } from '../connections/connection-argument.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import { maskError } from '../graphql/error-masking.ts';
import { connectionErrors, withTypedErrors } from '../graphql/error-types.ts';
import { InvalidInput, type InputFault } from '../graphql/invalid-input.ts';
import { maxListLength, requireListLength } from '../graphql/list-slice.ts';
import { recordPlanner, writeScopes } from './operation-records.ts';
import type { RecordNode } from './record-node.ts';
import { nodeOf } from './record-planner.ts';
import {
  createRecords,
  deleteRecords,
  updateRecords,
  writeStatuses,
  type WritePlace,
  type WriteResult,
  type WriteStatus,
} from './record-writes.ts';
import { RecordRef } from './schema.ts';

type ShownResult = Omit<WriteResult, 'record'> & { record: RecordNode | null };

const WriteStatusEnum = builder.enumType('RecordWriteStatus', {
  description: 'What became of one record of a write.',
  values: Object.fromEntries(
    Object.entries(writeStatuses).map(([status, description]) => [status, { description }]),
  ) as Record<WriteStatus, { description: string }>,
});

const WriteErrorRef = builder.objectRef<{ code: ErrorCode; message: string }>('RecordWriteError').implement({
  description: 'Why a record was not written, or is not known to be.',
  fields: (t) => ({
    code: t.exposeString('code', { description: 'From the documented list of codes.' }),
    message: t.exposeString('message', {
      description: 'What failed and what to do next. May be shown to people.',
    }),
  }),
});

const WriteResultRef = builder.objectRef<ShownResult>('RecordWriteResult').implement({
  description: 'What became of one record of a write.',
  fields: (t) => ({
    index: t.exposeInt('index', { description: 'Its place in the input, from 0.' }),
    status: t.field({
      type: WriteStatusEnum,
      description: 'What became of it.',
      resolve: ({ status }) => status,
    }),
    recordId: t.exposeString('recordId', {
      nullable: true,
      description: 'Its id; null for a creation that did not succeed for certain.',
    }),
    record: t.field({
      type: RecordRef,
      nullable: true,
      description: 'The record after the write; null unless it was created or updated.',
      resolve: ({ record }) => record,
    }),
    error: t.field({
      type: WriteErrorRef,
      nullable: true,
      description: 'Set unless it was written.',
      // A plain object: the executor would throw an Error that a resolver gives.
      resolve: ({ error }) => error && { code: error.code, message: error.message },
    }),
  }),
});

/** The three writes answer alike, each by a type of its own so that a later field of one does not become one of all. */
function successType(name: string, description: string) {
  return builder.objectRef<ShownResult[]>(name).implement({
    description,
    fields: (t) => ({
      results: t.field({
        type: [WriteResultRef],
        description: 'One for each record, in the order of the input.',
        resolve: (results) => results,
      }),
      written: t.int({
        description: 'How many have the status WRITTEN.',
        resolve: (results) => results.filter(({ status }) => status === 'WRITTEN').length,
      }),
    }),
  });
}

const descriptions = {
  baseId: 'Id of the base; starts with `app`.',
  tableId: 'Id or exact name of the table.',
  fields:
    'Cells by id or exact name of the field, in the format of the service. Null clears a cell; so does an empty list.',
  typecast:
    'Whether the service may convert values, such as text to numbers, and add missing choices to selects. No by default.',
};

const RecordToCreateInput = builder.inputType('RecordToCreate', {
  description: 'A new record.',
  fields: (t) => ({ fields: t.field({ type: 'JSON', required: true, description: descriptions.fields }) }),
});

const RecordToUpdateInput = builder.inputType('RecordToUpdate', {
  description: 'Changes of one record. Cells that are not named stay as they are.',
  fields: (t) => ({
    id: t.string({ required: true, description: 'Id of the record; starts with `rec`.' }),
    fields: t.field({ type: 'JSON', required: true, description: descriptions.fields }),
  }),
});

const CreateRecordsInput = builder.inputType('CreateRecordsInput', {
  description: 'Records to create in one table.',
  fields: (t) => ({
    connection: t.int(connectionArgument),
    baseId: t.string({ required: true, description: descriptions.baseId }),
    tableId: t.string({ required: true, description: descriptions.tableId }),
    records: t.field({
      type: [RecordToCreateInput],
      required: true,
      description: `1 to ${maxListLength} records.`,
    }),
    typecast: t.boolean({ description: descriptions.typecast }),
  }),
});

const UpdateRecordsInput = builder.inputType('UpdateRecordsInput', {
  description: 'Records to update in one table.',
  fields: (t) => ({
    connection: t.int(connectionArgument),
    baseId: t.string({ required: true, description: descriptions.baseId }),
    tableId: t.string({ required: true, description: descriptions.tableId }),
    records: t.field({
      type: [RecordToUpdateInput],
      required: true,
      description: `1 to ${maxListLength} records, each once.`,
    }),
    typecast: t.boolean({ description: descriptions.typecast }),
  }),
});

const DeleteRecordsInput = builder.inputType('DeleteRecordsInput', {
  description: 'Records to delete from one table.',
  fields: (t) => ({
    connection: t.int(connectionArgument),
    baseId: t.string({ required: true, description: descriptions.baseId }),
    tableId: t.string({ required: true, description: descriptions.tableId }),
    ids: t.stringList({ required: true, description: `1 to ${maxListLength} ids of records, each once.` }),
  }),
});

const tellsPerRecord =
  'Sent in tens, in order, one call each; the answer tells for each record whether it was written. For editors.';

builder.mutationFields((t) => ({
  createRecords: t.field({
    type: successType('CreateRecordsSuccess', 'What became of each record to create. Look at each `status`.'),
    nullable: true,
    authScopes: { role: 'editor' },
    args: { input: t.arg({ type: CreateRecordsInput, required: true, description: 'The records.' }) },
    description: `Creates up to ${maxListLength} records. ${tellsPerRecord}`,
    errors: { types: connectionErrors },
    resolve: (_root, { input }, context) =>
      write(context, input, 'records', input.records.length, (api, to) =>
        createRecords(api, { ...to, typecast: input.typecast ?? false }, recordsToWrite(input.records)),
      ),
  }),
  updateRecords: t.field({
    type: successType('UpdateRecordsSuccess', 'What became of each record to update. Look at each `status`.'),
    nullable: true,
    authScopes: { role: 'editor' },
    args: { input: t.arg({ type: UpdateRecordsInput, required: true, description: 'The changes.' }) },
    description: `Updates up to ${maxListLength} records. ${tellsPerRecord}`,
    errors: { types: connectionErrors },
    resolve: (_root, { input }, context) =>
      write(context, input, 'records', input.records.length, (api, to) =>
        updateRecords(api, { ...to, typecast: input.typecast ?? false }, recordsToWrite(input.records)),
      ),
  }),
  deleteRecords: t.field({
    type: successType('DeleteRecordsSuccess', 'What became of each record to delete. Look at each `status`.'),
    nullable: true,
    authScopes: { role: 'editor' },
    args: { input: t.arg({ type: DeleteRecordsInput, required: true, description: 'The records.' }) },
    description: `Deletes up to ${maxListLength} records. ${tellsPerRecord}`,
    errors: { types: connectionErrors },
    resolve: (_root, { input }, context) =>
      write(context, input, 'ids', input.ids.length, (api, to) => deleteRecords(api, to, input.ids)),
  }),
}));

/** @throws InvalidInput naming every record whose `fields` is no object */
function recordsToWrite<Given extends { fields?: unknown }>(
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

function write(
  context: GraphQLContext,
  place: { connection: number; baseId: string; tableId: string },
  argument: 'records' | 'ids',
  count: number,
  send: (api: CalendlyApi, to: WritePlace) => Promise<WriteResult[]>,
): Promise<ShownResult[]> {
  return withTypedErrors(async () => {
    requireListLength(argument, count);
    if (count === 0)
      throw new InvalidInput([{ path: [argument], message: `"${argument}" must not be empty` }]);
    requireId('app', place.baseId, 'baseId');
    context.caller.requireBase(place.connection, place.baseId);
    const { schema: table } = await findTable(context, place.connection, place.baseId, place.tableId);
    const api = await context.app.upstream.api(place.connection, context.operation, writeScopes);
    const planner = recordPlanner(context);
    const { recordReads } = context.app;
    recordReads.forget(place.baseId);
    try {
      const explain = (error: unknown) => explained(error, context);
      const results = await send(api, { baseId: place.baseId, table, explain });
      return results.map((result) => ({
        ...result,
        record:
          result.record &&
          nodeOf({ connectionId: place.connection, baseId: place.baseId, table }, result.record, 'all'),
      }));
    } finally {
      // Whatever was written shows in what this operation, and whoever begins after it, reads from here on.
      planner.forgetRecords();
      recordReads.forget(place.baseId);
    }
  });
}

/** Logs the failure and tells of it what the answer would tell if the whole field failed. */
function explained(error: unknown, { app }: GraphQLContext): AppError {
  const { message, extensions } = maskError(error, app.logger);
  return new AppError(extensions.code as ErrorCode, message, { cause: error });
}
