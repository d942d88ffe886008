import { isObject } from '../../calendly/cell-values.ts';
import { builder } from '../../graphql/builder.ts';
import type { GraphQLContext } from '../../graphql/context.ts';
import { keyedErrors, withTypedErrors } from '../../graphql/error-types.ts';
import { InvalidInput, type InputFault } from '../../graphql/invalid-input.ts';
import { maxListLength, requireListLength } from '../../graphql/list-slice.ts';
import { recordWork } from '../operation-records.ts';
import {
  CreateRecordsInput,
  DeleteRecordsInput,
  UpdateRecordsInput,
  UpsertRecordsInput,
} from './input-fields.ts';
import { mergeFieldsOf } from './merge-fields.ts';
import { checkIds, checkRecords, type RecordToWrite } from './record-check.ts';
import { write, type ToldWrite, type WriteKind, type WriteRequest } from './record-write.ts';
import { successType } from './result-fields.ts';
import { creating, deleting, updating, upserting } from './write-calls.ts';

const tellsPerRecord =
  'Checked against the table first; sent in tens, in order, one call each; the answer tells for each record whether it was written. For editors.';

builder.mutationFields((t) => ({
  createRecords: t.field({
    type: successType('CreateRecordsSuccess', 'What became of each record to create. Look at each `status`.'),
    nullable: true,
    authScopes: { role: 'editor' },
    args: { input: t.arg({ type: CreateRecordsInput, required: true, description: 'The records.' }) },
    description: `Creates up to ${maxListLength} records. ${tellsPerRecord}`,
    errors: { types: keyedErrors },
    resolve: (_root, { input }, context) =>
      withTypedErrors(() => {
        const records = recordsToWrite(input.records);
        const mode = { typecast: input.typecast ?? false };
        return carryOut(context, input, {
          mutation: 'createRecords',
          list: { argument: 'records', length: records.length },
          check: (table) => checkRecords(records, table, mode),
          call: (table) => creating({ baseId: input.baseId, table, ...mode }),
        });
      }),
  }),
  updateRecords: t.field({
    type: successType('UpdateRecordsSuccess', 'What became of each record to update. Look at each `status`.'),
    nullable: true,
    authScopes: { role: 'editor' },
    args: { input: t.arg({ type: UpdateRecordsInput, required: true, description: 'The changes.' }) },
    description: `Updates up to ${maxListLength} records. ${tellsPerRecord}`,
    errors: { types: keyedErrors },
    resolve: (_root, { input }, context) =>
      withTypedErrors(() => {
        const records = recordsToWrite(input.records);
        const mode = { typecast: input.typecast ?? false };
        return carryOut(context, input, {
          mutation: 'updateRecords',
          list: { argument: 'records', length: records.length },
          check: (table) => checkRecords(records, table, mode),
          call: (table) => updating({ baseId: input.baseId, table, ...mode }),
        });
      }),
  }),
  upsertRecords: t.field({
    type: successType(
      'UpsertRecordsSuccess',
      'What became of each record to update or create. Look at each `status`.',
    ),
    nullable: true,
    authScopes: { role: 'editor' },
    args: {
      input: t.arg({
        type: UpsertRecordsInput,
        required: true,
        description: 'The records and what tells them apart.',
      }),
    },
    description: `Updates up to ${maxListLength} records that are there already and creates those that are not; \`effect\` tells which. ${tellsPerRecord}`,
    errors: { types: keyedErrors },
    resolve: (_root, { input }, context) =>
      withTypedErrors(() => {
        const records = recordsToWrite(input.records);
        const typecast = input.typecast ?? false;
        return carryOut(context, input, {
          mutation: 'upsertRecords',
          list: { argument: 'records', length: records.length },
          mergesOn: input.fieldsToMergeOn,
          check: (table) =>
            checkRecords(records, table, {
              typecast,
              mergeFields: mergeFieldsOf(table, input.fieldsToMergeOn),
            }),
          call: (table) =>
            upserting({ baseId: input.baseId, table, typecast }, mergeFieldsOf(table, input.fieldsToMergeOn)),
        });
      }),
  }),
  deleteRecords: t.field({
    type: successType('DeleteRecordsSuccess', 'What became of each record to delete. Look at each `status`.'),
    nullable: true,
    authScopes: { role: 'editor' },
    args: { input: t.arg({ type: DeleteRecordsInput, required: true, description: 'The records.' }) },
    description: `Deletes up to ${maxListLength} records. ${tellsPerRecord}`,
    errors: { types: keyedErrors },
    resolve: (_root, { input }, context) =>
      withTypedErrors(() =>
        carryOut(context, input, {
          mutation: 'deleteRecords',
          list: { argument: 'ids', length: input.ids.length },
          check: () => checkIds(input.ids),
          call: (table) => deleting({ baseId: input.baseId, table }),
        }),
      ),
  }),
}));

/** Carries out the write of a mutation, whose input is what an idempotency key stands for. */
async function carryOut<Item extends string | RecordToWrite>(
  context: GraphQLContext,
  input: WriteRequest,
  {
    list,
    ...kind
  }: Omit<WriteKind<Item>, 'meant' | 'recordCount'> & {
    /** The argument that lists the records, and how many it lists. */
    list: { argument: 'records' | 'ids'; length: number };
  },
): Promise<ToldWrite> {
  const { argument, length } = list;
  requireListLength(argument, length);
  if (length === 0)
    throw new InvalidInput([{ path: [argument], message: `"${argument}" must not be empty` }]);
  const { idempotencyKey: _key, validateOnly: _validateOnly, ...meant } = input;
  return write(recordWork(context), input, { ...kind, meant, recordCount: length });
}

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
