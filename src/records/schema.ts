import { encodeGlobalID } from '@pothos/plugin-relay';
import { operationSchemas, TableNode, TableRef } from '../bases/schema.ts';
import type { FieldSchema, TableSchema } from '../bases/table-schema.ts';
import { AppError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import { pendingWork } from '../graphql/pending-work.ts';
import {
  problemCodes,
  problemsOf,
  readCell,
  readChecked,
  readDate,
  readNumber,
  readText,
  type FieldProblem,
} from './cell-values.ts';
import { RecordNode } from './record-node.ts';

export const RecordRef = builder.objectRef<RecordNode>('Record');

const ProblemCodeEnum = builder.enumType('FieldProblemCode', {
  description: 'Why a cell could not be read.',
  values: Object.fromEntries(
    Object.entries(problemCodes).map(([code, description]) => [code, { description }]),
  ) as Record<keyof typeof problemCodes, { description: string }>,
});

const FieldProblemRef = builder.objectRef<FieldProblem>('FieldProblem').implement({
  description: 'A cell that holds no readable value. It reads as null.',
  fields: (t) => ({
    field: t.string({ description: 'Name of the field.', resolve: ({ field }) => field.name }),
    fieldId: t.string({ description: 'Id of the field.', resolve: ({ field }) => field.id }),
    code: t.field({ type: ProblemCodeEnum, description: 'What is wrong.', resolve: ({ code }) => code }),
    message: t.exposeString('message', {
      description: 'What the service said and what it means. May be shown to people.',
    }),
  }),
});

export const fieldArgument =
  'Id or exact name of the field. A misspelt name is an error that suggests the nearest.';

RecordRef.implement({
  description:
    'A row of a table. Only the cells that are selected are fetched; empty ones are null, false or [] by their type.',
  interfaces: [builder.nodeInterfaceRef()],
  isTypeOf: (value) => value instanceof RecordNode,
  fields: (t) => ({
    nodeId: t.id({
      description: "Relay's global id of this object. Pass it to `node` or `nodes`.",
      resolve: ({ connectionId, baseId, tableId, id }) =>
        encodeGlobalID('Record', `${connectionId}/${baseId}/${tableId}/${id}`),
    }),
    id: t.exposeString('id', { description: 'Starts with `rec`.' }),
    // Exposed rather than resolved: compiled queries then read it without a call for each record.
    createdTime: t.expose('createdTime', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was created. Null where a change of our log does not tell.',
    }),
    table: t.field({
      type: TableRef,
      nullable: true,
      description:
        'The table it stands in. Null for a record of our log whose table the service does not show any more.',
      resolve: (record, _args, context) => {
        const { connectionId, baseId, level } = record;
        return withTable(record, context, (table) => new TableNode(connectionId, baseId, table, level));
      },
    }),
    fields: t.field({
      type: 'JSON',
      nullable: true,
      args: {
        names: t.arg.stringList({
          description:
            'Ids or exact names of the fields; all by default. The answer has a key for each as it is spelled here.',
        }),
      },
      description:
        'Cells by field name. Every field asked for is there, empty or not. Ask by `names`: the fewer cells, the less is fetched.',
      resolve: (record, { names }, context) =>
        withTable(record, context, (table) => {
          const row = record.origin.rowOf(table, names ?? null, (name) => requireField(record, table, name));
          return row.read(record.cells);
        }),
    }),
    value: t.field({
      type: 'JSON',
      nullable: true,
      args: { field: t.arg.string({ required: true, description: fieldArgument }) },
      description: 'One cell as the service gives it.',
      resolve: (record, { field }, context) => readOne(record, field, context, readCell),
    }),
    text: t.string({
      nullable: true,
      args: { field: t.arg.string({ required: true, description: fieldArgument }) },
      description:
        'One cell as a person would read it: names of collaborators and files, lists joined by commas. Null when empty.',
      resolve: (record, { field }, context) => readOne(record, field, context, readText),
    }),
    number: t.float({
      nullable: true,
      args: { field: t.arg.string({ required: true, description: fieldArgument }) },
      description:
        'One cell of a number, currency, percent, rating, duration (seconds), count or numeric formula field. Percent: 12.3 % is 0.123.',
      resolve: (record, { field }, context) => readOne(record, field, context, readNumber),
    }),
    date: t.field({
      type: 'DateTime',
      nullable: true,
      args: { field: t.arg.string({ required: true, description: fieldArgument }) },
      description: 'One cell of a date field. A date without a time is midnight UTC.',
      resolve: (record, { field }, context) => readOne(record, field, context, readDate),
    }),
    checked: t.boolean({
      nullable: true,
      args: { field: t.arg.string({ required: true, description: fieldArgument }) },
      description: 'One cell of a checkbox field; false when it is not checked.',
      resolve: (record, { field }, context) => readOne(record, field, context, readChecked),
    }),
    problems: t.field({
      type: [FieldProblemRef],
      nullable: true,
      description:
        'What could not be read among the cells selected beside it, or among all when none are. Null where `table` is.',
      resolve: (record, _args, context) =>
        withTable(record, context, (table) =>
          problemsOf(
            table.fields.filter((field) => record.origin.knows(field.id)),
            record.cells,
          ),
        ),
    }),
  }),
});

/** Works at once where the table is at hand, which is everywhere but for records of the change log. */
function withTable<T>(
  record: RecordNode,
  context: GraphQLContext,
  use: (table: TableSchema) => T,
): T | Promise<T> {
  const { connectionId, baseId, tableId, table, level } = record.origin;
  if (table) return use(table);
  return pendingWork(context)
    .preparing(level + 1, operationSchemas(context).table(connectionId, baseId, tableId))
    .then(use);
}

/** One cell of a record, read in a way of its own. */
export function readOne<T>(
  record: RecordNode,
  name: string,
  context: GraphQLContext,
  read: (field: FieldSchema, cell: unknown) => T,
): T | Promise<T> {
  const { table } = record.origin;
  // Once per cell: no closure where the table is at hand.
  if (table) return readIn(table, record, name, read);
  return withTable(record, context, (found) => readIn(found, record, name, read));
}

function readIn<T>(
  table: TableSchema,
  record: RecordNode,
  name: string,
  read: (field: FieldSchema, cell: unknown) => T,
): T {
  const field = requireField(record, table, name);
  return read(field, record.cells[field.id]);
}

/**
 * A field that this record must know: a cell that was not fetched must never pass for an empty one.
 * @throws AppError FIELD_NOT_FOUND
 */
function requireField(record: RecordNode, table: TableSchema, name: string): FieldSchema {
  const field = record.origin.knownField(table, name);
  if (field) return field;
  const { name: fieldName } = table.getField(name);
  throw new AppError(
    'FIELD_NOT_FOUND',
    `The cell ${JSON.stringify(fieldName)} of ${record.id} was not recorded here. Read the record itself.`,
    { details: { field: fieldName, recordId: record.id } },
  );
}
