import type { CalendlyApi } from '../calendly/api.ts';
import { isOversized } from '../calendly/silence.ts';
import { maxPayloadsPerPage } from '../calendly/webhook-calls.ts';
import type { PayloadPage } from '../calendly/wire.ts';

/**
 * The payloads of a webhook for one drain, as many with each call as its answer may hold.
 *
 * After an answer that is too large, half as many are asked for, down to one; once all that it would have held has been
 * passed, twice as many again. One payload among small ones that is too large by itself so costs 16 calls more at most.
 */
export class PayloadPages {
  readonly #api: () => Promise<CalendlyApi>;
  readonly #baseId: string;
  readonly #upstreamId: string;
  #limit = maxPayloadsPerPage;
  /** Up to this number, not included, payloads are known to be too large together. */
  #crowdedUntil = 0;

  /** @param api for one call, with a deadline of its own: a large answer takes long */
  constructor(webhook: { baseId: string; upstreamId: string }, api: () => Promise<CalendlyApi>) {
    this.#api = api;
    this.#baseId = webhook.baseId;
    this.#upstreamId = webhook.upstreamId;
  }

  /** @returns the payloads from a number on; null when the first of them is larger than is read, even alone */
  async read(next: number): Promise<PayloadPage | null> {
    if (next >= this.#crowdedUntil) this.#limit = Math.min(this.#limit * 2, maxPayloadsPerPage);
    for (;;) {
      try {
        const api = await this.#api();
        return await api.listPayloads(this.#baseId, this.#upstreamId, next, this.#limit);
      } catch (error) {
        if (!isOversized(error)) throw error;
        this.#crowdedUntil = next + this.#limit;
        if (this.#limit === 1) return null;
        this.#limit = Math.floor(this.#limit / 2);
      }
    }
  }
}
