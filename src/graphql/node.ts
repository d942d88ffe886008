import { brandWithType } from '@pothos/core';
import { decodeGlobalID } from '@pothos/plugin-relay';
import type { GraphQLResolveInfo } from 'graphql';
import { findBase, findTable } from '../bases/schema.ts';
import { isUpstreamId } from '../calendly/ids.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import { recordWork, selectionHere } from '../records/operation-records.ts';
import { oneOf } from '../records/record-work.ts';
import { builder } from './builder.ts';
import type { GraphQLContext } from './context.ts';
import { maxListLength, requireListLength } from './list-slice.ts';
import { beforeLookups } from './pending-work.ts';

/** The part of a global id behind the type. */
type NodeId = string;

/**
 * Gives the object of a type, or null when there is none or the caller may not see it.
 * @throws AppError of a malformed id or of whatever stands in the way; it is told at the node's own place
 */
type FindNode = (id: NodeId, context: GraphQLContext, info: GraphQLResolveInfo) => Promise<object | null>;

/** Loaders see the whole resolve info, which the plugin's own would not: records fetch only what is selected. */
const finders = new Map<string, FindNode>([
  [
    'CalendlyConnection',
    async (id, context) => {
      const connectionId = connectionNumber(id);
      if (!context.caller.sees(connectionId)) return null;
      return beforeLookups(context, context.app.connections.find(connectionId));
    },
  ],
  [
    'Base',
    async (id, context, info) => {
      const [connection, baseId = ''] = partsOf(id, 2);
      return findBase(context, info, connectionNumber(connection), baseId);
    },
  ],
  [
    'Table',
    async (id, context) => {
      const [connection, baseId = '', tableId = ''] = partsOf(id, 3);
      const connectionId = connectionNumber(connection);
      if (!isUpstreamId('app', baseId) || !isUpstreamId('tbl', tableId)) throw malformed();
      context.caller.requireBase(connectionId, baseId);
      return findTable(context, connectionId, baseId, tableId);
    },
  ],
  [
    'Record',
    async (id, context, info) => {
      const [connection, baseId = '', tableId = '', recordId = ''] = partsOf(id, 4);
      const connectionId = connectionNumber(connection);
      if (!isUpstreamId('app', baseId) || !isUpstreamId('tbl', tableId) || !isUpstreamId('rec', recordId))
        throw malformed();
      context.caller.requireBase(connectionId, baseId);
      return oneOf(
        await recordWork(context).lookUp(
          { connectionId, baseId },
          tableId,
          [recordId],
          selectionHere(context, info),
          1,
        ),
      );
    },
  ],
]);

/** The largest number that a connection can have. */
const maxConnectionId = 2_147_483_647;
/** Longest global id that is looked at, in characters; ours stay far below. */
const maxGlobalIdLength = 500;

function connectionNumber(text: string | undefined): number {
  const number = Number(text);
  if (text === undefined || !/^[1-9]\d{0,9}$/.test(text) || number > maxConnectionId) throw malformed();
  return number;
}

function partsOf(id: NodeId, count: number): string[] {
  const parts = id.split('/');
  if (parts.length !== count) throw malformed();
  return parts;
}

function malformed(): AppError {
  return new AppError(
    'INVALID_INPUT',
    'This is not the global id of anything here. Pass on a `nodeId` as you got it.',
  );
}

const missing: ReadonlySet<string> = new Set<ErrorCode>([
  'CONNECTION_NOT_FOUND',
  'BASE_NOT_FOUND',
  'TABLE_NOT_FOUND',
]);

/** What does not exist is null, and so is what the caller may not see: the two must look the same. */
async function findNode(
  globalId: string,
  context: GraphQLContext,
  info: GraphQLResolveInfo,
): Promise<object | null> {
  const { typename, id } = decode(globalId);
  const find = finders.get(typename);
  if (!find) throw malformed();
  try {
    const node = await find(id, context, info);
    if (node) brandWithType(node, typename as never);
    return node;
  } catch (error) {
    if (error instanceof AppError && missing.has(error.code)) return null;
    throw error;
  }
}

function decode(globalId: string): { typename: string; id: NodeId } {
  if (globalId.length > maxGlobalIdLength) throw malformed();
  try {
    return decodeGlobalID(globalId);
  } catch {
    throw malformed();
  }
}

builder.queryFields((t) => ({
  node: t.field({
    type: builder.nodeInterfaceRef(),
    nullable: true,
    args: { id: t.arg.id({ required: true, description: 'A `nodeId` from an earlier answer.' }) },
    description: 'Anything by its global id; null when there is none that your key may see.',
    resolve: (_root, { id }, context, info) => findNode(String(id), context, info),
  }),
  nodes: t.field({
    type: [builder.nodeInterfaceRef()],
    nullable: { list: false, items: true },
    args: {
      ids: t.arg.idList({
        required: true,
        description: `\`nodeId\`s from earlier answers, at most ${maxListLength}.`,
      }),
    },
    description:
      'Many things by their global ids, in the order of the ids. Records share their calls with all other lookups of the operation.',
    resolve: (_root, { ids }, context, info) => {
      requireListLength('ids', ids.length);
      // Promises, so that what fails does so at its own place.
      return ids.map((id) => findNode(String(id), context, info));
    },
  }),
}));
