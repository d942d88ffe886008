import { createRemoteJWKSet, customFetch, errors, type CryptoKey, type JWTVerifyGetKey } from 'jose';
import { elapsed, type Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';

/*
 * When the provider is asked for its keys:
 *
 *   nothing is known         at once; the token waits
 *   older than refreshMs     beside the token, which is checked with what is known
 *   older than keptMs        at once; what is known may have been withdrawn meanwhile
 *   a token names a new key  at once, but no sooner than cooldownMs after the last time: anybody can make up names
 *
 * After a failure nobody asks again for cooldownMs. jose asks, reads the answer and picks the key for a token.
 */

/** How long the provider may take to answer, in milliseconds. */
const timeoutMs = 5_000;

/** Longest key set that is read, in bytes; a key has some 500. */
const maxKeySetBytes = 262_144;

const cooldownMs = 10_000;
const refreshMs = 600_000;
const keptMs = 3_600_000;

/** The keys with which the identity provider signs, as it publishes them. */
export class IdentityKeys {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #url: string;
  readonly #remote: ReturnType<typeof createRemoteJWKSet>;
  #loadedAt = Number.NEGATIVE_INFINITY;
  #askedAt = Number.NEGATIVE_INFINITY;
  #hasFailed = false;
  #loading: Promise<void> | undefined;

  constructor(deps: { url: string; clock: Clock; logger: Logger }) {
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#url = deps.url;
    this.#remote = createRemoteJWKSet(new URL(deps.url), {
      timeoutDuration: timeoutMs,
      // When to ask again is decided here.
      cooldownDuration: Infinity,
      cacheMaxAge: Infinity,
      [customFetch]: boundedFetch,
    });
  }

  /**
   * The key for a token.
   * @throws AppError IDENTITY_PROVIDER_UNAVAILABLE; errors of jose when the set has no such key.
   */
  readonly keyFor: JWTVerifyGetKey = async (header, token): Promise<CryptoKey> => {
    const loadedAt = this.#loadedAt;
    const age = elapsed(this.#clock) - loadedAt;
    if (age > keptMs) await this.#load();
    else if (age > refreshMs) this.#load().catch(() => undefined);
    try {
      return await this.#remote(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      const isAsking = this.#loading !== undefined || this.#loadedAt !== loadedAt;
      // Whether the set has the key by now is not known while it cannot be read.
      if (!isAsking && this.#isCoolingDown() && !this.#hasFailed) throw error;
      if (this.#loadedAt === loadedAt) await this.#load();
      return await this.#remote(header, token);
    }
  };

  #isCoolingDown(): boolean {
    return elapsed(this.#clock) - this.#askedAt < cooldownMs;
  }

  async #load(): Promise<void> {
    if (!this.#loading) {
      if (this.#hasFailed && this.#isCoolingDown()) throw unavailable();
      this.#askedAt = elapsed(this.#clock);
      this.#loading = this.#ask().finally(() => (this.#loading = undefined));
    }
    await this.#loading;
  }

  async #ask(): Promise<void> {
    try {
      await this.#remote.reload();
      this.#loadedAt = elapsed(this.#clock);
      this.#hasFailed = false;
    } catch (error) {
      this.#hasFailed = true;
      this.#logger.warn(
        { err: error, url: this.#url },
        'the keys of the identity provider could not be read',
      );
      throw unavailable();
    }
  }
}

async function boundedFetch(url: string, options: RequestInit): Promise<Response> {
  const response = await fetch(url, options);
  const parts: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop lets go of the connection.
  for await (const part of response.body ?? []) {
    length += part.length;
    if (length > maxKeySetBytes) throw new Error(`The key set is longer than ${maxKeySetBytes} bytes`);
    parts.push(part);
  }
  return new Response(Buffer.concat(parts), { status: response.status });
}

function unavailable(): AppError {
  return new AppError(
    'IDENTITY_PROVIDER_UNAVAILABLE',
    'The keys of the identity provider cannot be read at the moment, so your token cannot be checked. Try again in a few seconds; API keys work meanwhile.',
    { details: { retryAfterMs: cooldownMs } },
  );
}
