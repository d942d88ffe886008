import { createSourceEventStream, GraphQLError, type ExecutionArgs, type ExecutionResult } from 'graphql';
import { unauthenticated } from '../access/authentication.ts';
import type { GraphQLContext } from './context.ts';
import { shownError } from './error-masking.ts';
import { executeTogether } from './event-execution.ts';
import { executionKey } from './execution-key.ts';
import { ResultQueue } from './result-queue.ts';
import { SharedSource, type Source } from './shared-source.ts';
import { Subscriber } from './subscriber.ts';
import type { SubscriberGroups } from './subscriber-groups.ts';

/**
 * Subscribes as GraphQL does, but executes each event in an operation of its own, and events of a shared source once for
 * all who are told the same. It ends with an error soon after its caller's key or token has, and without a word when its
 * caller has left.
 */
export async function subscribeWithFreshOperations(
  args: ExecutionArgs,
  groups: SubscriberGroups,
): Promise<AsyncGenerator<ExecutionResult> | ExecutionResult> {
  const source = (await createSourceEventStream(args)) as
    SharedSource | AsyncGenerator<unknown, undefined> | ExecutionResult;
  const { app, caller, operation } = args.contextValue as GraphQLContext;
  if (!(Symbol.asyncIterator in source)) {
    app.metrics.subscriptionRefused();
    return source;
  }
  const closed = app.metrics.subscriptionOpened();
  const unwatch = app.callerWatch.watch(caller, () => subscription.endKey());
  const release = (): void => {
    unwatch();
    closed();
    operation.signal?.removeEventListener('abort', leave);
  };
  const leave = (): void => subscription.leave();
  const subscription =
    source instanceof SharedSource
      ? shareOut(source.source, args, groups, release)
      : executeEach(source, args, release);
  operation.signal?.addEventListener('abort', leave);
  // A caller who has left by now takes no stream, so nobody would end this one.
  if (operation.signal?.aborted) leave();
  return subscription.results;
}

/** A running subscription: what its caller is told, and the ways in which it ends before its source does. */
interface Subscription {
  results: AsyncGenerator<ExecutionResult>;
  /** The caller's key or token has ended. */
  endKey: () => void;
  /** The caller has left. */
  leave: () => void;
}

/** The subscriber's results take the outlet of its transport past the generator, which only tells how it ends. */
function shareOut(
  source: Source,
  args: ExecutionArgs,
  groups: SubscriberGroups,
  release: () => void,
): Subscription {
  const context = args.contextValue as GraphQLContext;
  const queue = new ResultQueue();
  const subscriber = new Subscriber(source, {
    args,
    group: groups.group(executionKey(args, source), source),
    outlet: context.outlet ?? queue,
    onEnded: release,
  });
  const leave = (): void => subscriber.leave();
  void subscriber.ended.then(() => queue.close());
  const results = asGenerator(() => {
    subscriber.start();
    return queue.take();
  }, leave);
  return { results, leave, endKey: () => subscriber.end(keyEnded(context)) };
}

/** Events of a source that only this caller listens to. */
function executeEach(
  source: AsyncGenerator<unknown, undefined>,
  args: ExecutionArgs,
  release: () => void,
): Subscription {
  const context = args.contextValue as GraphQLContext;
  let hasKeyEnded = false;
  let hasLeft = false;
  const endSource = (): void => {
    release();
    source.return(undefined).catch(() => undefined);
  };
  const leave = (): void => {
    hasLeft = true;
    endSource();
  };
  async function* run(): AsyncGenerator<ExecutionResult> {
    try {
      for await (const event of source) {
        const results = await executeTogether([event], args, context.operation);
        for (const { errors, ...result } of results) {
          if (hasKeyEnded || hasLeft) break;
          context.app.metrics.eventSent();
          yield { ...result, ...(errors && { errors: errors.map((error) => shownError(error, context)) }) };
        }
      }
      if (hasKeyEnded) yield keyEnded(context);
    } finally {
      release();
    }
  }
  const results = run();
  // While it waits for an event, a generator would only hear of its end with the next one: the source is told first.
  const { return: end } = results;
  results.return = async (value) => {
    release();
    await source.return(undefined);
    return end.call(results, value);
  };
  const endKey = (): void => {
    hasKeyEnded = true;
    endSource();
  };
  return { results, leave, endKey };
}

function keyEnded(context: GraphQLContext): ExecutionResult {
  const originalError = unauthenticated('The API key or token has ended, and this subscription with it.');
  const error = new GraphQLError(originalError.message, { originalError });
  return { errors: [shownError(error, context)] };
}

/** What is asked for one by one, until there is nothing more or nobody asks. */
function asGenerator<T>(take: () => Promise<T | null>, leave: () => void): AsyncGenerator<T> {
  const end = (): Promise<IteratorResult<T>> => {
    leave();
    return Promise.resolve({ done: true, value: undefined });
  };
  return {
    async next() {
      const value = await take();
      return value === null ? { done: true, value: undefined } : { done: false, value };
    },
    return: end,
    async throw(error) {
      await end();
      throw error;
    },
    async [Symbol.asyncDispose]() {
      await end();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
