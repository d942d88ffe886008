import { createSourceEventStream, type ExecutionArgs, type ExecutionResult } from 'graphql';
import type { GraphQLContext } from './context.ts';
import { shownError } from './error-masking.ts';
import { executeTogether } from './event-execution.ts';
import { keyEnded, RunningSubscription } from './running-subscription.ts';
import { SharedResults } from './shared-results.ts';
import { SharedSource } from './shared-source.ts';
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
  if (!(Symbol.asyncIterator in source)) {
    (args.contextValue as GraphQLContext).app.metrics.subscriptionRefused();
    return source;
  }
  return source instanceof SharedSource
    ? new SharedResults(source.source, args, groups)
    : executeEach(source, args);
}

/** Events of a source that only this caller listens to. */
function executeEach(
  source: AsyncGenerator<unknown, undefined>,
  args: ExecutionArgs,
): AsyncGenerator<ExecutionResult> {
  const context = args.contextValue as GraphQLContext;
  let hasKeyEnded = false;
  let hasLeft = false;
  const endSource = (): void => {
    running.release();
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
      running.release();
    }
  }
  const results = run();
  // While it waits for an event, a generator would only hear of its end with the next one: the source is told first.
  const { return: end } = results;
  results.return = async (value) => {
    running.release();
    await source.return(undefined);
    return end.call(results, value);
  };
  const endKey = (): void => {
    hasKeyEnded = true;
    endSource();
  };
  const running = new RunningSubscription(context, { leave, endKey });
  running.leaveIfGone();
  return results;
}
