import { AppError } from '../errors.ts';

/** Records that one operation gives, counted at every place where they stand. */
export const maxRecordsPerOperation = 20_000;

/**
 * Bounds what one operation builds. Lookups ask for each record once, but the answer holds it at every place that leads
 * to it, and links that lead back multiply the places from level to level.
 */
export class RecordAllowance {
  #left = maxRecordsPerOperation;
  /** One for all places: thousands may be refused, and each error of its own would cost a stack trace. */
  #refusal: AppError | undefined;

  /** @throws AppError TOO_MANY when the operation would give more records than it may; none of these counts then */
  take(count: number): void {
    if (count > this.#left) {
      this.#refusal ??= new AppError(
        'TOO_MANY',
        `One operation gives at most ${maxRecordsPerOperation} records, counted at every place where they stand. Follow fewer links, or take less of each list by "first".`,
        { details: { max: maxRecordsPerOperation } },
      );
      throw this.#refusal;
    }
    this.#left -= count;
  }
}
