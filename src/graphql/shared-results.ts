import type { ExecutionArgs, ExecutionResult } from 'graphql';
import type { GraphQLContext } from './context.ts';
import { executionKey } from './execution-key.ts';
import { ResultQueue } from './result-queue.ts';
import { keyEnded, RunningSubscription, type Endable } from './running-subscription.ts';
import type { Source } from './shared-source.ts';
import { Subscriber } from './subscriber.ts';
import type { SubscriberGroups } from './subscriber-groups.ts';

/**
 * What a subscriber to a shared source is told, asked for one by one. Where its transport has an outlet, the results go
 * there, and the generator only tells when there is nothing more. Thousands of these wait at a time, hence a class whose
 * methods they share.
 */
export class SharedResults implements AsyncGenerator<ExecutionResult, undefined>, Endable {
  readonly #context: GraphQLContext;
  readonly #queue: ResultQueue | null;
  readonly #subscriber: Subscriber;

  constructor(source: Source, args: ExecutionArgs, groups: SubscriberGroups) {
    const context = args.contextValue as GraphQLContext;
    const queue = context.outlet ? null : new ResultQueue();
    const outlet = context.outlet ?? queue;
    if (!outlet) throw new Error('Results need a way out.');
    const running = new RunningSubscription(context, this);
    this.#context = context;
    this.#queue = queue;
    this.#subscriber = new Subscriber(source, {
      args,
      group: groups.group(executionKey(args, source), source),
      outlet,
      running,
    });
    if (queue) void this.#subscriber.ended.then(() => queue.close());
    running.leaveIfGone();
  }

  next(): Promise<IteratorResult<ExecutionResult, undefined>> {
    this.#subscriber.start();
    return this.#queue ? this.#queue.take().then(stepOf) : this.#subscriber.ended.then(nothingMore);
  }

  return(): Promise<IteratorResult<ExecutionResult, undefined>> {
    this.leave();
    return Promise.resolve(nothingMore());
  }

  throw(error: Error): Promise<never> {
    this.leave();
    return Promise.reject(error);
  }

  leave(): void {
    this.#subscriber.leave();
  }

  endKey(): void {
    this.#subscriber.end(keyEnded(this.#context));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.leave();
    return Promise.resolve();
  }
}

function stepOf(result: ExecutionResult | null): IteratorResult<ExecutionResult, undefined> {
  return result === null ? nothingMore() : { done: false, value: result };
}

function nothingMore(): IteratorResult<never, undefined> {
  return { done: true, value: undefined };
}
