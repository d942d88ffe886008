import { encodeGlobalID } from '@pothos/plugin-relay';
import type { GraphQLResolveInfo } from 'graphql';
import { baseNotFound } from '../access/caller.ts';
import { requireId } from '../calendly/ids.ts';
import type { WireBase, WireView } from '../calendly/wire.ts';
import { connectionArgument } from '../connections/connection-argument.ts';
import { builder } from '../graphql/builder.ts';
import { perOperation, type GraphQLContext } from '../graphql/context.ts';
import { pendingWork } from '../graphql/pending-work.ts';
import { selectedFields } from '../graphql/selected-fields.ts';
import { OperationSchemas } from './operation-schemas.ts';
import type { FieldSchema, TableSchema } from './table-schema.ts';

/** The schemas that this operation has settled on. */
export const operationSchemas = perOperation(
  ({ app, operation }) => new OperationSchemas({ shared: app.baseSchemas, operation, clock: app.clock }),
);

/** A base as an answer shows it: no more than where it is. What it holds is read when asked for. */
export class BaseNode {
  constructor(
    readonly connectionId: number,
    readonly id: string,
  ) {}
}

/** A table as an answer shows it. */
export class TableNode {
  constructor(
    readonly connectionId: number,
    readonly baseId: string,
    readonly schema: TableSchema,
    /** How many reads of records had to end before this table could be asked for. */
    readonly level: number,
  ) {}
}

export const BaseRef = builder.objectRef<BaseNode>('Base');
export const TableRef = builder.objectRef<TableNode>('Table');
const ViewRef = builder.objectRef<WireView>('View');
const FieldRef = builder.objectRef<{ field: FieldSchema; table: TableNode }>('Field');

FieldRef.implement({
  description: 'A column of a table.',
  fields: (t) => ({
    id: t.string({
      description: 'Starts with `fld`. Stays the same when the field is renamed.',
      resolve: ({ field }) => field.id,
    }),
    name: t.string({ description: 'Its name. Unique in the table.', resolve: ({ field }) => field.name }),
    type: t.string({
      description:
        'What its cells hold, in the words of the service, such as `singleLineText` or `multipleRecordLinks`. New types may appear at any time.',
      resolve: ({ field }) => field.type,
    }),
    description: t.string({
      nullable: true,
      description: 'What its makers wrote about it.',
      resolve: ({ field }) => field.description,
    }),
    options: t.field({
      type: 'JSON',
      nullable: true,
      description: 'Settings of its type, as the service gives them: choices, precision, formats.',
      resolve: ({ field }) => field.options,
    }),
    isPrimary: t.boolean({
      description: 'Whether it names the record.',
      resolve: ({ field, table }) => field.id === table.schema.primaryFieldId,
    }),
    isComputed: t.boolean({
      description: 'Whether the service alone writes it. Writing to it fails.',
      resolve: ({ field }) => field.computed,
    }),
    linkedTable: t.field({
      type: TableRef,
      nullable: true,
      description:
        'For link fields the table that they lead to; null for all others, and for a table that cannot be seen.',
      resolve: ({ field, table }, _args, context) => {
        if (field.linkedTableId === null) return null;
        const linked = operationSchemas(context)
          .ready(table.connectionId, table.baseId)
          ?.findTable(field.linkedTableId);
        return linked ? new TableNode(table.connectionId, table.baseId, linked, table.level) : null;
      },
    }),
  }),
});

ViewRef.implement({
  description: 'A saved way to look at a table: which records, in which order.',
  fields: (t) => ({
    id: t.exposeString('id', { description: 'Starts with `viw`.' }),
    name: t.exposeString('name', { description: 'Its name, which `records` takes as `view`.' }),
    type: t.exposeString('type', { description: 'How the service shows it, such as `grid` or `kanban`.' }),
  }),
});

TableRef.implement({
  description: 'A table of a base.',
  interfaces: [builder.nodeInterfaceRef()],
  isTypeOf: (value) => value instanceof TableNode,
  fields: (t) => ({
    nodeId: t.id({
      description: "Relay's global id of this object. Pass it to `node` or `nodes`.",
      resolve: ({ connectionId, baseId, schema }) =>
        encodeGlobalID('Table', `${connectionId}/${baseId}/${schema.id}`),
    }),
    id: t.string({
      description: 'Starts with `tbl`. Stays the same when the table is renamed.',
      resolve: ({ schema }) => schema.id,
    }),
    name: t.string({ description: 'Its name. Unique in the base.', resolve: ({ schema }) => schema.name }),
    description: t.string({
      nullable: true,
      description: 'What its makers wrote about it.',
      resolve: ({ schema }) => schema.description,
    }),
    base: t.field({
      type: BaseRef,
      description: 'The base it belongs to.',
      resolve: ({ connectionId, baseId }) => new BaseNode(connectionId, baseId),
    }),
    fields: t.field({
      type: [FieldRef],
      description: 'Its columns, in the order of the service.',
      resolve: (table) => table.schema.fields.map((field) => ({ field, table })),
    }),
    field: t.field({
      type: FieldRef,
      nullable: true,
      args: { id: t.arg.string({ required: true, description: 'Id or exact name of the field.' }) },
      description: 'One column by id or name. A misspelt name is an error that suggests the nearest.',
      resolve: (table, { id }) => ({ field: table.schema.getField(id), table }),
    }),
    views: t.field({
      type: [ViewRef],
      description: 'Its views.',
      resolve: ({ schema }) => [...schema.views],
    }),
  }),
});

BaseRef.implement({
  description:
    'A base: tables that belong together. Its name and tables are null, with an error, when the service does not give them.',
  interfaces: [builder.nodeInterfaceRef()],
  isTypeOf: (value) => value instanceof BaseNode,
  fields: (t) => ({
    nodeId: t.id({
      description: "Relay's global id of this object. Pass it to `node` or `nodes`.",
      resolve: ({ connectionId, id }) => encodeGlobalID('Base', `${connectionId}/${id}`),
    }),
    id: t.exposeString('id', { description: 'Starts with `app`.' }),
    name: t.string({
      nullable: true,
      description: 'Its name.',
      resolve: async (base, _args, context) => (await listedBase(base, context)).name,
    }),
    permissionLevel: t.string({
      nullable: true,
      description:
        'What the connected account may do in it: `read`, `comment`, `edit`, `create`, or a word that the service adds later.',
      resolve: async (base, _args, context) => (await listedBase(base, context)).permissionLevel,
    }),
    tables: t.field({
      type: [TableRef],
      nullable: true,
      description: 'Its tables.',
      resolve: async ({ connectionId, id }, _args, context) => {
        const schema = await pendingWork(context).preparing(
          1,
          operationSchemas(context).load(connectionId, id),
        );
        return schema.tables.map((table) => new TableNode(connectionId, id, table, 0));
      },
    }),
    table: t.field({
      type: TableRef,
      nullable: true,
      args: { id: t.arg.string({ required: true, description: 'Id or exact name of the table.' }) },
      description: 'One table by id or name. A misspelt name is an error that suggests the nearest.',
      resolve: ({ connectionId, id: baseId }, { id }, context) =>
        findTable(context, connectionId, baseId, id),
    }),
  }),
});

/** A table that lookups may follow. */
export async function findTable(
  context: GraphQLContext,
  connectionId: number,
  baseId: string,
  idOrName: string,
): Promise<TableNode> {
  const schema = await pendingWork(context).preparing(
    1,
    operationSchemas(context).table(connectionId, baseId, idOrName),
  );
  return new TableNode(connectionId, baseId, schema, 0);
}

async function listedBase({ connectionId, id }: BaseNode, context: GraphQLContext): Promise<WireBase> {
  const bases = await operationSchemas(context).bases(connectionId);
  const base = bases.find((candidate) => candidate.id === id);
  if (!base) throw baseNotFound(id, connectionId);
  return base;
}

/**
 * A base that exists. It is looked for in the way that the selection pays for anyway: its schema when only tables are
 * asked for, else the list of bases.
 */
export async function findBase(
  context: GraphQLContext,
  info: GraphQLResolveInfo,
  connectionId: number,
  baseId: string,
): Promise<BaseNode> {
  requireId('app', baseId);
  context.caller.requireBase(connectionId, baseId);
  const base = new BaseNode(connectionId, baseId);
  const selected = selectedFields(info, info.fieldNodes, 'Base').map((node) => node.name.value);
  const needsTables = selected.includes('tables') || selected.includes('table');
  const needsListing = !needsTables || selected.includes('name') || selected.includes('permissionLevel');
  await pendingWork(context).preparing(
    1,
    Promise.all([
      needsTables ? operationSchemas(context).load(connectionId, baseId) : null,
      needsListing ? listedBase(base, context) : null,
    ]),
  );
  return base;
}

builder.queryField('base', (t) =>
  t.field({
    type: BaseRef,
    nullable: true,
    args: {
      connection: t.arg.int(connectionArgument),
      baseId: t.arg.string({ required: true, description: 'Id of the base; starts with `app`.' }),
    },
    description: 'One base. Null with an error when it does not exist or was not granted.',
    resolve: (_root, { connection, baseId }, context, info) => findBase(context, info, connection, baseId),
  }),
);
