import {
  createSourceEventStream,
  execute,
  GraphQLError,
  type ExecutionArgs,
  type ExecutionResult,
} from 'graphql';
import { unauthenticated } from '../access/authentication.ts';
import { CallMeter } from '../calendly/operation.ts';
import type { GraphQLContext } from './context.ts';
import { deadlines, upstreamCost } from './operation-context.ts';

/**
 * Subscribes as GraphQL does, but executes each event in an operation of its own. Loaders hang on the operation, so
 * an event never sees what a loader remembered from an earlier one. It ends with an error soon after its caller's key has.
 */
export async function subscribeWithFreshOperations(
  args: ExecutionArgs,
): Promise<AsyncGenerator<ExecutionResult> | ExecutionResult> {
  const source = (await createSourceEventStream(args)) as
    AsyncGenerator<unknown, undefined> | ExecutionResult;
  if (!(Symbol.asyncIterator in source)) return source;
  const { app, caller } = args.contextValue as GraphQLContext;
  let keyEnded = false;
  const unwatch = app.keyWatch.watch(caller.id, () => {
    keyEnded = true;
    source.return(undefined).catch(() => undefined);
  });
  const results = executeEach(source, args, { unwatch, hasKeyEnded: () => keyEnded });
  // While it waits for an event, a generator would only hear of its end with the next one: the source is told first.
  const { return: end } = results;
  results.return = async (value) => {
    unwatch();
    await source.return(undefined);
    return end.call(results, value);
  };
  return results;
}

async function* executeEach(
  source: AsyncIterable<unknown>,
  args: ExecutionArgs,
  key: { unwatch: () => void; hasKeyEnded: () => boolean },
): AsyncGenerator<ExecutionResult> {
  try {
    yield* executeEvents(source, args);
    if (key.hasKeyEnded()) {
      const originalError = unauthenticated('The API key has ended, and this subscription with it.');
      yield { errors: [new GraphQLError(originalError.message, { originalError })] };
    }
  } finally {
    key.unwatch();
  }
}

async function* executeEvents(
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
