import { CalendlyConnectionRef } from '../connections/schema.ts';
import { builder } from '../graphql/builder.ts';
import { maxListLength, pageLength } from '../graphql/list-slice.ts';
import { pendingWork } from '../graphql/pending-work.ts';
import { baseCursor, sliceBases } from './base-slice.ts';
import { BaseNode, BaseRef, findBase, operationSchemas } from './schema.ts';

const BaseEdgeRef = builder.objectRef<BaseNode>('BaseEdge').implement({
  description: 'A base in a page.',
  fields: (t) => ({
    cursor: t.string({ description: 'Pass it as `after` to go on behind this base.', resolve: baseCursor }),
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
          startCursor: bases.length > 0 ? baseCursor(bases[0]!) : null,
          endCursor: bases.length > 0 ? baseCursor(bases.at(-1)!) : null,
        }),
      }),
    }),
  });

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
      const { bases, ...rest } = sliceBases(visible, length, after ?? null);
      return { bases: bases.map((base) => new BaseNode(connection.id, base.id)), ...rest };
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
