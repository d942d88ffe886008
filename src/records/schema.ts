import { encodeGlobalID } from '@pothos/plugin-relay';
import { operationSchemas, TableNode, TableRef } from '../bases/schema.ts';
import type { FieldSchema, TableSchema } from '../bases/table-schema.ts';
import { AppError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import { maxListLength, pageLength } from '../graphql/list-slice.ts';
import { pendingWork } from '../graphql/pending-work.ts';
import {
  problemCodes,
  problemsOf,
  readCell,
  readChecked,
  readDate,
  readFields,
  readLinks,
  readNumber,
  readText,
  type FieldProblem,
} from './cell-values.ts';
import { noFields } from './field-set.ts';
import { itemsOf, recordWork, selectionHere } from './operation-records.ts';
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

const fieldArgument = 'Id or exact name of the field. A misspelt name is an error that suggests the nearest.';

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
    createdTime: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was created. Null where a change of our log does not tell.',
      resolve: (record) => record.createdTime,
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
        withTable(record, context, (table) =>
          readFields(table, record.cells, names ?? null, (name) => requireField(record, table, name)),
        ),
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
    linked: t.field({
      type: [RecordRef],
      nullable: { list: true, items: true },
      args: {
        field: t.arg.string({ required: true, description: fieldArgument }),
        first: t.arg.int({ description: `How many, 1 to ${maxListLength}; 50 by default.` }),
        after: t.arg.string({
          description: 'Id of the last linked record that you have; the list goes on behind it.',
        }),
      },
      description:
        'The records behind a link field, in the order of the cell. All of one level of the operation are fetched together, a hundred per call. Null stands for a record that is gone.',
      resolve: async (record, { field, first, after }, context, info) => {
        const links = await readOne(record, field, context, readLinks);
        const start = after == null ? 0 : startBehind(after, links);
        const ids = links.slice(start, start + pageLength(first));
        const table = await linkedTable(record, field, context);
        const selection = selectionHere(context, info);
        if (selection.needsRecord)
          return itemsOf(await recordWork(context).loadAll(record, table, ids, selection, record.level + 1));
        recordWork(context).allowance.take(ids.length);
        return ids.map((id) => linkTo(record, table, id));
      },
    }),
    linkedCount: t.int({
      nullable: true,
      args: { field: t.arg.string({ required: true, description: fieldArgument }) },
      description: 'How many records a link field leads to.',
      resolve: async (record, { field }, context) =>
        (await readOne(record, field, context, readLinks)).length,
    }),
    problems: t.field({
      type: [FieldProblemRef],
      nullable: true,
      description:
        'What could not be read among the cells selected beside it, or among all when none are. Null where `table` is.',
      resolve: (record, _args, context) =>
        withTable(record, context, (table) =>
          problemsOf(
            table.fields.filter((field) => record.knows(field.id)),
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
  if (record.table) return use(record.table);
  const { connectionId, baseId, tableId, level } = record;
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
  // Once per cell: no closure where the table is at hand.
  if (record.table) return readIn(record.table, record, name, read);
  return withTable(record, context, (table) => readIn(table, record, name, read));
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
  const field = table.getField(name);
  if (record.knows(field.id)) return field;
  throw new AppError(
    'FIELD_NOT_FOUND',
    `The cell ${JSON.stringify(field.name)} of ${record.id} was not recorded here. Read the record itself.`,
    { details: { field: field.name, recordId: record.id } },
  );
}

function startBehind(after: string, ids: readonly string[]): number {
  const index = ids.indexOf(after);
  if (index >= 0) return index + 1;
  throw new AppError(
    'CURSOR_INVALID',
    'The record id in "after" is not among the linked records any more. Begin without it.',
    {
      details: { argument: 'after' },
    },
  );
}

/** @throws AppError TABLE_NOT_FOUND when the table behind the link cannot be seen */
async function linkedTable(
  record: RecordNode,
  fieldName: string,
  context: GraphQLContext,
): Promise<TableSchema> {
  const { connectionId, baseId, tableId } = record;
  const schemas = operationSchemas(context);
  const base = schemas.ready(connectionId, baseId) ?? (await schemas.load(connectionId, baseId));
  const field = (record.table ?? base.getTable(tableId)).getField(fieldName);
  return base.getTable(field.linkedTableId ?? tableId);
}

function linkTo({ connectionId, baseId, level }: RecordNode, table: TableSchema, id: string): RecordNode {
  return new RecordNode({
    connectionId,
    baseId,
    tableId: table.id,
    id,
    createdTime: null,
    cells: {},
    known: noFields,
    table,
    level: level + 1,
  });
}
