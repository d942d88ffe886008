import { createSourceEventStream, execute, type ExecutionArgs, type ExecutionResult } from 'graphql';
import { CallMeter } from '../calendly/operation.ts';
import type { GraphQLContext } from './context.ts';
import { deadlines, upstreamCost } from './operation-context.ts';

/**
 * Subscribes as GraphQL does, but executes each event in an operation of its own. Loaders hang on the operation, so
 * an event never sees what a loader remembered from an earlier one.
 */
export async function subscribeWithFreshOperations(
  args: ExecutionArgs,
): Promise<AsyncGenerator<ExecutionResult> | ExecutionResult> {
  const source = (await createSourceEventStream(args)) as AsyncGenerator<unknown, undefined> | ExecutionResult;
  if (!(Symbol.asyncIterator in source)) return source;
  const results = executeEach(source, args);
  // While it waits for an event, a generator would only hear of its end with the next one: the source is told first.
  const { return: end } = results;
  results.return = async (value) => {
    await source.return(undefined);
    return end.call(results, value);
  };
  return results;
}

async function* executeEach(
  source: AsyncIterable<unknown>,
  args: ExecutionArgs,
): AsyncGenerator<ExecutionResult> {
  for await (const event of source) {
    const subscriber = args.contextValue as GraphQLContext;
    const { app, operation } = subscriber;
    const contextValue: GraphQLContext = {
      ...subscriber,
      operation: {
        ...operation,
        priority: 'background',
        deadline: app.clock.now() + deadlines.read,
        meter: new CallMeter(),
      },
    };
    const result = await execute({ ...args, rootValue: event, contextValue });
    yield { ...result, extensions: { ...result.extensions, upstream: upstreamCost(contextValue) } };
  }
}
