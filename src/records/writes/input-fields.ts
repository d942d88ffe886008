import { maxMergeFields } from '../../calendly/api.ts';
import { connectionArgument } from '../../connections/connection-argument.ts';
import { builder } from '../../graphql/builder.ts';
import { maxListLength } from '../../graphql/list-slice.ts';

const descriptions = {
  baseId: 'Id of the base; starts with `app`.',
  tableId: 'Id or exact name of the table.',
  fields:
    'Cells by id or exact name of the field, in the format of the service. Null clears a cell; so does an empty list.',
  typecast:
    'Whether the service may convert values, such as text to numbers, and add missing choices to selects. No by default.',
  validateOnly:
    'Checks everything that can be checked without writing, and sends nothing: the answer tells all faults, and how many calls the write would take. No by default.',
};

const keyDescription =
  'A text of your own, 1 to 255 printable ASCII characters, that stands for this write for a day. Sent again with the same input it writes nothing but answers what became of the first; with other input it is refused. Scoped to your key and this mutation.';

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

const RecordToUpsertInput = builder.inputType('RecordToUpsert', {
  description: 'A record to update if there is one like it, and to create if there is none.',
  fields: (t) => ({
    id: t.string({
      description: 'Id of the record to update, if it is known; then nothing is matched and nothing created.',
    }),
    fields: t.field({
      type: 'JSON',
      required: true,
      description: `${descriptions.fields} Without \`id\` every field of \`fieldsToMergeOn\` must be among them.`,
    }),
  }),
});

export const CreateRecordsInput = builder.inputType('CreateRecordsInput', {
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
    idempotencyKey: t.string({ description: keyDescription }),
    validateOnly: t.boolean({ description: descriptions.validateOnly }),
  }),
});

export const UpdateRecordsInput = builder.inputType('UpdateRecordsInput', {
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
    idempotencyKey: t.string({ description: keyDescription }),
    validateOnly: t.boolean({ description: descriptions.validateOnly }),
  }),
});

export const UpsertRecordsInput = builder.inputType('UpsertRecordsInput', {
  description: 'Records to update or create in one table.',
  fields: (t) => ({
    connection: t.int(connectionArgument),
    baseId: t.string({ required: true, description: descriptions.baseId }),
    tableId: t.string({ required: true, description: descriptions.tableId }),
    fieldsToMergeOn: t.stringList({
      required: true,
      description: `1 to ${maxMergeFields} fields, by id or exact name, that tell records apart: number, text, select or date fields that are not computed. No match creates the record, one match updates it; several matches fail the ten.`,
    }),
    records: t.field({
      type: [RecordToUpsertInput],
      required: true,
      description: `1 to ${maxListLength} records, each once.`,
    }),
    typecast: t.boolean({ description: descriptions.typecast }),
    idempotencyKey: t.string({ description: keyDescription }),
    validateOnly: t.boolean({ description: descriptions.validateOnly }),
  }),
});

export const DeleteRecordsInput = builder.inputType('DeleteRecordsInput', {
  description: 'Records to delete from one table.',
  fields: (t) => ({
    connection: t.int(connectionArgument),
    baseId: t.string({ required: true, description: descriptions.baseId }),
    tableId: t.string({ required: true, description: descriptions.tableId }),
    ids: t.stringList({ required: true, description: `1 to ${maxListLength} ids of records, each once.` }),
    idempotencyKey: t.string({ description: keyDescription }),
    validateOnly: t.boolean({ description: descriptions.validateOnly }),
  }),
});
