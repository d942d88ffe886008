import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';

/** Pause before a pair is offered again, in milliseconds. */
const storeRetryMs = 250;

/**
 * Offers a pair of tokens that the provider has just issued to a database that may be away: there is no other copy of it.
 * @param store One try. An earlier one may have been committed although its answer was lost: what finds nothing to store has
 *   to look whether the pair is there.
 * @throws what `store` threw: an AppError at once, anything else once `forMs` are over
 */
export async function offerPair<T>(
  store: () => Promise<T>,
  { connectionId, forMs, logger }: { connectionId: number; forMs: number; logger: Logger },
): Promise<T> {
  const giveUpAt = performance.now() + forMs;
  for (;;) {
    try {
      return await store();
    } catch (error) {
      if (error instanceof AppError || performance.now() > giveUpAt) throw error;
      logger.warn({ connectionId, err: error }, 'a new token pair could not be stored yet');
      await delay(storeRetryMs);
    }
  }
}
