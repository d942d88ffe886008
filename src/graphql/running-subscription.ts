import { GraphQLError, type ExecutionResult } from 'graphql';
import { unauthenticated } from '../access/authentication.ts';
import type { GraphQLContext } from './context.ts';
import { shownError } from './error-masking.ts';

/** The ways in which a subscription ends before its source does. */
export interface Endable {
  /** The caller's key or token has ended. */
  endKey(): void;
  /** The caller has left. */
  leave(): void;
}

/** Counts a subscription and watches its caller, from its beginning until it is released. */
export class RunningSubscription {
  readonly #subscription: Endable;
  readonly #signal: AbortSignal | undefined;
  readonly #closed: () => void;
  readonly #unwatch: () => void;

  constructor({ app, caller, operation }: GraphQLContext, subscription: Endable) {
    this.#subscription = subscription;
    this.#signal = operation.signal;
    this.#closed = app.metrics.subscriptionOpened();
    this.#unwatch = app.callerWatch.watch(caller, () => subscription.endKey());
    this.#signal?.addEventListener('abort', this);
  }

  /** A caller who had left before anybody listened takes no results, so nobody else would end the subscription. */
  leaveIfGone(): void {
    if (this.#signal?.aborted) this.#subscription.leave();
  }

  handleEvent(): void {
    this.#subscription.leave();
  }

  /** To be called when the subscription has ended; more than once does no harm. */
  release(): void {
    this.#unwatch();
    this.#closed();
    this.#signal?.removeEventListener('abort', this);
  }
}

/** The last word to a caller whose key or token has ended. */
export function keyEnded(context: GraphQLContext): ExecutionResult {
  const originalError = unauthenticated('The API key or token has ended, and this subscription with it.');
  const error = new GraphQLError(originalError.message, { originalError });
  return { errors: [shownError(error, context)] };
}
