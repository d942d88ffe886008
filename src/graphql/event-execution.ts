import { execute, type ExecutionArgs, type ExecutionResult } from 'graphql';
import type { Operation } from '../calendly/operation.ts';
import type { GraphQLContext } from './context.ts';
import { createOperation, upstreamCost } from './operation-context.ts';

/** What the events of a batch cost that come after its first, which tells the cost of all. */
const noCost: ReturnType<typeof upstreamCost> = { calls: 0, waitedMs: 0, retries: 0, fromCache: 0 };

/**
 * How old the row of a connection may be that shared events are executed with, in milliseconds. Their source watches the
 * connection, and ends when it does; to read the row again before each event would take as long as to read the event.
 */
export const watchedConnectionAgeMs = 1_000;

/**
 * Executes events in one operation of their own, whose calls go behind those of people. Loaders hang on the operation, so
 * an event never sees what a loader remembered from an earlier one. Errors are as they were thrown.
 * @param terms The signal tells when nobody waits for the results any more.
 */
export async function executeTogether(
  events: readonly unknown[],
  args: ExecutionArgs,
  terms: Pick<Operation, 'signal' | 'connectionAgeMs'>,
): Promise<ExecutionResult[]> {
  const subscriber = args.contextValue as GraphQLContext;
  const { app, caller, wishes } = subscriber;
  app.metrics.eventsExecuted(events.length);
  const contextValue: GraphQLContext = {
    ...subscriber,
    operation: {
      ...createOperation(app, caller, wishes, terms),
      priority: 'background',
      connectionAgeMs: terms.connectionAgeMs ?? 0,
    },
  };
  const results = await Promise.all(
    events.map(async (event) => execute({ ...args, rootValue: event, contextValue })),
  );
  return results.map((result, index) => ({
    ...result,
    extensions: { ...result.extensions, upstream: index === 0 ? upstreamCost(contextValue) : noCost },
  }));
}
