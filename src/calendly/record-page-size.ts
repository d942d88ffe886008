import { maxRecordsPerPage } from './api.ts';
import { isOversized } from './silence.ts';

/** For so many pages of the size that was too large, smaller ones are asked for. */
const waryPages = 10;

/**
 * How many records to ask for at once, so that the answer is not larger than is read.
 *
 * After one that was too large, half as many are asked for, down to one, and only after a while twice as many again: where
 * some records are large others mostly are as well, and each answer that is not read costs a call. Several may read at once.
 */
export class RecordPageSize {
  #most = maxRecordsPerPage;
  /** Records to be read before twice as many are asked for. */
  #wary = 0;

  /**
   * @param wanted records in the page, 1 to 100
   * @param read asks for one page from the same place on, again with fewer records where the answer was too large
   * @returns the page, and how many records it was asked for
   * @throws what `read` throws; that the answer is too large for a record alone
   */
  async read<Page>(
    wanted: number,
    read: (size: number) => Promise<Page>,
  ): Promise<{ page: Page; size: number }> {
    for (;;) {
      const size = Math.min(wanted, this.#most);
      try {
        const page = await read(size);
        this.#fitted(size);
        return { page, size };
      } catch (error) {
        if (size === 1 || !isOversized(error)) throw error;
        this.#most = Math.min(this.#most, Math.floor(size / 2));
        this.#wary = size * waryPages;
      }
    }
  }

  #fitted(size: number): void {
    if (this.#most === maxRecordsPerPage) return;
    this.#wary -= size;
    if (this.#wary <= 0) this.#most = Math.min(this.#most * 2, maxRecordsPerPage);
  }
}
