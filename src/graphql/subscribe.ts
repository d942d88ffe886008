import {
  createSourceEventStream,
  execute,
  GraphQLError,
  type ExecutionArgs,
  type ExecutionResult,
} from 'graphql';
import { unauthenticated } from '../access/authentication.ts';
import type { GraphQLContext } from './context.ts';
import { shownError } from './error-masking.ts';
import { createOperation, upstreamCost } from './operation-context.ts';

/**
 * For subscription fields whose source has several events at hand. An array that a source gives is a batch: its events
 * are executed together, in one operation, and delivered one by one.
 */
export function inBatches<T>(
  source: AsyncGenerator<T[], undefined, undefined>,
): AsyncGenerator<T, undefined, undefined> {
  return source as unknown as AsyncGenerator<T, undefined, undefined>;
}

/** What the events of a batch cost that come after its first, which tells the cost of all. */
const noCost: ReturnType<typeof upstreamCost> = { calls: 0, waitedMs: 0, retries: 0, fromCache: 0 };

/**
 * Subscribes as GraphQL does, but executes each event, or each batch of events, in an operation of its own. Loaders hang
 * on the operation, so an event never sees what a loader remembered from an earlier one. It ends with an error soon
 * after its caller's key or token has, and without a word when its caller has left.
 */
export async function subscribeWithFreshOperations(
  args: ExecutionArgs,
): Promise<AsyncGenerator<ExecutionResult> | ExecutionResult> {
  const source = (await createSourceEventStream(args)) as
    AsyncGenerator<unknown, undefined> | ExecutionResult;
  const { app, caller, operation } = args.contextValue as GraphQLContext;
  if (!(Symbol.asyncIterator in source)) {
    app.metrics.subscriptionRefused();
    return source;
  }
  const closed = app.metrics.subscriptionOpened();
  let keyEnded = false;
  const endSource = (): void => {
    source.return(undefined).catch(() => undefined);
  };
  const unwatch = app.callerWatch.watch(caller, () => {
    keyEnded = true;
    endSource();
  });
  // A caller who has left by now takes no stream, so nobody would end this one.
  const leave = (): void => {
    unwatch();
    closed();
    endSource();
  };
  operation.signal?.addEventListener('abort', leave);
  if (operation.signal?.aborted) leave();
  const release = (): void => {
    unwatch();
    closed();
    operation.signal?.removeEventListener('abort', leave);
  };
  const results = executeEach(source, args, { release, hasKeyEnded: () => keyEnded });
  // While it waits for an event, a generator would only hear of its end with the next one: the source is told first.
  const { return: end } = results;
  results.return = async (value) => {
    release();
    await source.return(undefined);
    return end.call(results, value);
  };
  return results;
}

async function* executeEach(
  source: AsyncIterable<unknown>,
  args: ExecutionArgs,
  { release, hasKeyEnded }: { release: () => void; hasKeyEnded: () => boolean },
): AsyncGenerator<ExecutionResult> {
  const subscriber = args.contextValue as GraphQLContext;
  try {
    for await (const told of source) {
      for (const result of await executeBatch(Array.isArray(told) ? told : [told], args)) {
        if (hasKeyEnded() || subscriber.operation.signal?.aborted) break;
        yield result;
      }
    }
    if (hasKeyEnded()) {
      const originalError = unauthenticated('The API key or token has ended, and this subscription with it.');
      const error = new GraphQLError(originalError.message, { originalError });
      yield { errors: [shownError(error, subscriber)] };
    }
  } finally {
    release();
  }
}

async function executeBatch(events: readonly unknown[], args: ExecutionArgs): Promise<ExecutionResult[]> {
  const subscriber = args.contextValue as GraphQLContext;
  const { app, caller, wishes, operation } = subscriber;
  const contextValue: GraphQLContext = {
    ...subscriber,
    operation: { ...createOperation(app, caller, wishes, operation), priority: 'background' },
  };
  const results = await Promise.all(
    events.map(async (event) => execute({ ...args, rootValue: event, contextValue })),
  );
  return results.map(({ errors, ...result }, index) => ({
    ...result,
    ...(errors && { errors: errors.map((error) => shownError(error, subscriber)) }),
    extensions: { ...result.extensions, upstream: index === 0 ? upstreamCost(contextValue) : noCost },
  }));
}
