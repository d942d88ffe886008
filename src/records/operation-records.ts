import type { FieldNode, GraphQLResolveInfo } from 'graphql';
import { operationSchemas } from '../bases/schema.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import { perOperation, type GraphQLContext } from '../graphql/context.ts';
import { maskError } from '../graphql/error-masking.ts';
import { pendingWork } from '../graphql/pending-work.ts';
import type { RecordNode } from './record-node.ts';
import type { RecordSelection } from './record-selection.ts';
import { RecordWork } from './record-work.ts';
import { recordSelection } from './selected-record.ts';

/** What a GraphQL operation does with records. */
export const recordWork = perOperation(
  (context) =>
    new RecordWork({
      operation: context.operation,
      caller: context.caller,
      services: context.app,
      schemas: operationSchemas(context),
      pending: pendingWork(context),
      explain: (error) => explained(error, context),
    }),
);

/** Logs a failure and tells of it what the answer would tell if the whole field failed. */
function explained(error: unknown, { app }: GraphQLContext): AppError {
  const { message, extensions } = maskError(error, app.logger);
  return new AppError(extensions.code as ErrorCode, message, { cause: error });
}

/** What has been worked out of the document. Sibling records are resolved with the same nodes, so this pays per place. */
const selections = perOperation(() => new WeakMap<readonly FieldNode[], RecordSelection>());

/** What is asked of the records that the field being resolved gives. */
export function selectionHere(context: GraphQLContext, info: GraphQLResolveInfo): RecordSelection {
  const known = selections(context).get(info.fieldNodes);
  if (known) return known;
  const selection = recordSelection(info, info.fieldNodes);
  selections(context).set(info.fieldNodes, selection);
  return selection;
}

/** For fields that give a list: the executor raises an error that stands in a list at the path of its item. */
export function itemsOf(found: readonly (RecordNode | null | Error)[]): (RecordNode | null)[] {
  return found as (RecordNode | null)[];
}
