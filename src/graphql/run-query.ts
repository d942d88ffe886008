import { execute, type ExecutionResult, type GraphQLSchema } from 'graphql';
import type { Caller } from '../access/caller.ts';
import type { App } from '../app.ts';
import type { GraphQLContext } from './context.ts';
import { shownError } from './error-masking.ts';
import { createOperation, upstreamCost, type OperationWishes } from './operation-context.ts';
import type { PreparedQuery } from './prepared-queries.ts';
import { requireShallowVariables } from './variable-depth.ts';

export interface QueryRun {
  caller: Caller;
  requestId: string;
  wishes: OperationWishes;
  client: { readonly signal: AbortSignal };
  variables: Record<string, unknown> | null;
}

/**
 * Executes a prepared query as the pipeline of all operations would: the same context, the same bound on operations in
 * flight, the same masking of errors, the same extensions.
 * @returns null when nothing was executed (variables that do not fit, too many operations): the pipeline says why.
 */
export async function runQuery(
  app: App,
  schema: GraphQLSchema,
  { document, operationName, compiled }: PreparedQuery,
  { caller, requestId, wishes, client, variables }: QueryRun,
): Promise<ExecutionResult | null> {
  const contextValue: GraphQLContext = {
    app,
    caller,
    requestId,
    wishes,
    operation: createOperation(app, caller, wishes, client),
  };
  let leave: () => void;
  try {
    requireShallowVariables(variables);
    leave = app.operationsInFlight.enter(caller.id);
  } catch {
    return null;
  }
  try {
    const startedAt = performance.now();
    const result = await (compiled
      ? compiled.query(undefined, contextValue, variables)
      : execute({ schema, document, operationName, variableValues: variables, contextValue }));
    if (result.data === undefined) return null;
    app.metrics.operationDone('query', result.errors !== undefined, performance.now() - startedAt);
    const extensions = { ...result.extensions, upstream: upstreamCost(contextValue) };
    if (!result.errors) return { data: result.data, extensions };
    const errors = result.errors.map((error) => shownError(error, contextValue));
    return { errors, data: result.data, extensions };
  } finally {
    leave();
  }
}
