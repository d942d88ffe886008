import { isUpstreamId } from '../calendly/ids.ts';
import type { WireBase } from '../calendly/wire.ts';
import { CalendlyConnectionRef } from '../connections/schema.ts';
import { AppError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import { maxListLength, pageLength } from '../graphql/list-slice.ts';
import { pendingWork } from '../graphql/pending-work.ts';
import { BaseNode, BaseRef, findBase, operationSchemas } from './schema.ts';

const BaseEdgeRef = builder.objectRef<BaseNode>('BaseEdge').implement({
  description: 'A base in a page.',
  fields: (t) => ({
    cursor: t.string({ description: 'Pass it as `after` to go on behind this base.', resolve: cursorOf }),
    node: t.field({ type: BaseRef, nullable: true, description: 'The base.', resolve: (base) => base }),
  }),
});

const BasePageRef = builder
  .objectRef<{ bases: BaseNode[]; hasPreviousPage: boolean; hasNextPage: boolean }>('BasePage')
  .implement({
    description: 'A page of bases.',
    fields: (t) => ({
      edges: t.field({
        type: [BaseEdgeRef],
        description: 'The bases with their cursors.',
        resolve: ({ bases }) => bases,
      }),
      nodes: t.field({ type: [BaseRef], description: 'The bases.', resolve: ({ bases }) => bases }),
      pageInfo: t.field({
        type: builder.pageInfoRef(),
        description: 'Where the page begins and ends, and whether more follow.',
        resolve: ({ bases, hasPreviousPage, hasNextPage }) => ({
          hasPreviousPage,
          hasNextPage,
          startCursor: bases.length > 0 ? cursorOf(bases[0]!) : null,
          endCursor: bases.length > 0 ? cursorOf(bases.at(-1)!) : null,
        }),
      }),
    }),
  });

/** Opaque to callers: the base's own id, encoded, so that it holds whatever joins or leaves the list. */
function cursorOf(base: BaseNode): string {
  return Buffer.from(base.id).toString('base64url');
}

builder.objectFields(CalendlyConnectionRef, (t) => ({
  bases: t.field({
    type: BasePageRef,
    nullable: true,
    args: {
      first: t.arg.int({ description: `How many, 1 to ${maxListLength}; 50 by default.` }),
      after: t.arg.string({ description: 'The `endCursor` of the page before.' }),
    },
    description:
      'The bases that were granted and that your key may see, in the order of the service. None can also mean that a policy of the organisation hides them.',
    resolve: async (connection, { first, after }, context) => {
      const length = pageLength(first);
      // Records may be asked for below, and share their calls with lookups that are ready before.
      const granted = await pendingWork(context).preparing(1, operationSchemas(context).bases(connection.id));
      const visible = granted.filter((base) => context.caller.sees(connection.id, base.id));
      const start = after == null ? 0 : startBehind(after, visible);
      const bases = visible.slice(start, start + length).map((base) => new BaseNode(connection.id, base.id));
      return { bases, hasPreviousPage: start > 0, hasNextPage: start + length < visible.length };
    },
  }),
  base: t.field({
    type: BaseRef,
    nullable: true,
    args: { id: t.arg.string({ required: true, description: 'Id of the base; starts with `app`.' }) },
    description: 'One base of this connection.',
    resolve: (connection, { id }, context, info) => findBase(context, info, connection.id, id),
  }),
}));

/** @throws AppError CURSOR_INVALID when it is no cursor, or its base has left the list */
function startBehind(cursor: string, bases: readonly WireBase[]): number {
  const baseId = Buffer.from(cursor, 'base64url').toString('utf8');
  const index = isUpstreamId('app', baseId) ? bases.findIndex((base) => base.id === baseId) : -1;
  if (index >= 0) return index + 1;
  throw new AppError(
    'CURSOR_INVALID',
    'The cursor "after" does not belong to this list of bases. Take it from `endCursor`, or begin without it.',
  );
}
