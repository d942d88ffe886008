import { PendingWork } from '../bases/pending-work.ts';
import { perOperation, type GraphQLContext } from './context.ts';

/** What the operation still resolves; batched lookups wait for it. */
export const pendingWork = perOperation(() => new PendingWork());

/**
 * For fields that wait for something other than the upstream, such as our database, and below which records can be
 * asked for: lookups elsewhere in the operation wait for them, and so share their calls.
 */
export function beforeLookups<T>(context: GraphQLContext, work: Promise<T>): Promise<T> {
  return pendingWork(context).preparing(1, work);
}
