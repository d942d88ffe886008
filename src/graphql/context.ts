import type { Caller } from '../access/caller.ts';
import type { App } from '../app.ts';
import type { Operation } from '../calendly/operation.ts';
import type { OperationWishes } from './operation-context.ts';
import type { Outlet } from './outlet.ts';

/** What every resolver gets. The caller is authenticated before anything else happens. */
export interface GraphQLContext {
  app: App;
  caller: Caller;
  /** Also in `X-Request-Id`, in error extensions and in the logs. */
  requestId: string;
  /** Deadline, priority and call counter that all upstream calls of this operation share. */
  operation: Operation;
  /** What the caller asked for by header: a shorter deadline, a cap on upstream calls. */
  wishes: OperationWishes;
  /** Where a client of server-sent events stands, by its `Last-Event-ID` header. It knows better than its document. */
  lastEventId?: string | null;
  /** The way of a subscription's results past the generator of results, where its transport has one. */
  outlet?: Outlet | undefined;
}

/**
 * State that lives as long as one operation, such as loaders. It hangs on the operation, not on the context object:
 * a subscription gets a fresh operation for each delivered batch and so fresh loaders.
 */
export function perOperation<T>(make: (context: GraphQLContext) => T): (context: GraphQLContext) => T {
  const made = new WeakMap<Operation, T>();
  return (context) => {
    let value = made.get(context.operation);
    if (value === undefined) {
      value = make(context);
      made.set(context.operation, value);
    }
    return value;
  };
}
