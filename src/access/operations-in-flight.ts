import { AppError } from '../errors.ts';

/** Queries and mutations of one key at a time, in this process. */
const maxOperationsPerKey = 200;

/** When a caller that has too many under way is told to come back, in milliseconds. */
const retryAfterMs = 1_000;

/** Keeps one caller's operations from taking the whole process. */
export class OperationsInFlight {
  readonly #counts = new Map<string, number>();

  /**
   * @returns must be called when the operation has ended, once.
   * @throws AppError OPERATION_LIMIT
   */
  enter(callerId: string): () => void {
    const count = this.#counts.get(callerId) ?? 0;
    if (count >= maxOperationsPerKey) {
      throw new AppError(
        'OPERATION_LIMIT',
        `Your key has ${maxOperationsPerKey} operations under way here, which is the most. Wait for one to end, or ask for more in one document.`,
        { details: { max: maxOperationsPerKey, retryAfterMs } },
      );
    }
    this.#counts.set(callerId, count + 1);
    return () => {
      const left = (this.#counts.get(callerId) ?? 1) - 1;
      if (left > 0) this.#counts.set(callerId, left);
      else this.#counts.delete(callerId);
    };
  }
}
