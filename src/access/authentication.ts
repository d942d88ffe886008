import type { DataSource } from 'typeorm';
import type { RecordAudit } from '../audit/audit-event.ts';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import { GatheredReads } from '../gathered-reads.ts';
import { looksLikeToken } from '../identity-provider.ts';
import type { Logger } from '../logger.ts';
import { apiKeyColumns, callerOf, isLiving, type ApiKey } from './api-key.ts';
import type { Caller } from './caller.ts';
import type { IdentityTokens } from './identity-tokens.ts';
import { hashOf, maxKeyLength } from './key-secret.ts';
import { ProvenKeys } from './proven-keys.ts';
import { networkOf, WrongKeys } from './wrong-keys.ts';

/** When a key was last used is written at most this often, in seconds. */
const useIntervalSeconds = 60;

/** A key as it was found, and whether its last use is to be written again. */
type FoundKey = ApiKey & { useIsOld: boolean };

/** Tells who is calling by the key that was sent, or by the token of an identity provider in its place. */
export class Authentication {
  readonly #database: DataSource;
  readonly #identity: IdentityTokens | null;
  readonly #audit: RecordAudit;
  readonly #logger: Logger;
  readonly #wrongKeys: WrongKeys;
  /** They still open the door while their address is stopped for others' wrong ones. */
  readonly #proven = new ProvenKeys();
  readonly #writingUse = new Set<number>();
  /** Whoever comes back after a deploy comes with everybody else, and often with the same key. */
  readonly #found = new GatheredReads<string, FoundKey>((proofs) => this.#find(proofs));

  constructor(deps: {
    database: DataSource;
    /** Null: API keys only. */
    identity: IdentityTokens | null;
    audit: RecordAudit;
    clock: Clock;
    logger: Logger;
    onWrongKey?: () => void;
  }) {
    this.#database = deps.database;
    this.#identity = deps.identity;
    this.#audit = deps.audit;
    this.#logger = deps.logger;
    this.#wrongKeys = new WrongKeys(deps.clock, deps.onWrongKey);
  }

  /**
   * @param address The peer of the connection, as the socket says.
   * @throws AppError UNAUTHENTICATED, whose message is the same whether a key is unknown, expired or revoked, or what
   *   is wrong with a token; TOO_MANY_ATTEMPTS after too many wrong ones from the address; of tokens also FORBIDDEN when
   *   one gives no role here, and IDENTITY_PROVIDER_UNAVAILABLE.
   */
  async caller(key: string | null, address: string): Promise<Caller> {
    if (!key) throw unauthenticated('This server needs an API key.');
    return this.#identity && looksLikeToken(key)
      ? this.#byToken(this.#identity, key, address)
      : this.#byKey(key, address);
  }

  /** To be called when a key was revoked here: from now on every key is looked up again. */
  doubtKeys(): void {
    this.#proven.doubtAll();
  }

  async #byKey(key: string, address: string): Promise<Caller> {
    const isLegible = key.length <= maxKeyLength;
    const proof = isLegible ? hashOf(key).toString('base64') : '';
    const stoppedForMs = this.#wrongKeys.stoppedForMs(address);
    if (stoppedForMs > 0 && !this.#proven.has(proof)) throw tooManyAttempts(stoppedForMs);

    const known = this.#proven.recent(proof);
    if (known) return callerOf(known);
    const askedAt = performance.now();
    const found = isLegible ? await this.#found.find(proof) : null;
    if (!found) {
      this.#proven.forget(proof);
      this.#countWrong(address);
      throw notValid();
    }
    this.#proven.remember(proof, found, askedAt);
    if (found.useIsOld) void this.#writeUse(found.id);
    return callerOf(found);
  }

  /** A token that the provider did sign is no guess, even when it has expired: browsers keep old ones for long. */
  async #byToken(identity: IdentityTokens, token: string, address: string): Promise<Caller> {
    const stoppedForMs = this.#wrongKeys.stoppedForMs(address);
    if (stoppedForMs > 0 && !identity.isFamiliar(token)) throw tooManyAttempts(stoppedForMs);
    const outcome = await identity.check(token);
    if ('caller' in outcome) return outcome.caller;
    if (outcome.refused === 'forged') this.#countWrong(address);
    throw notValid();
  }

  /** That an address is stopped is told once each time, beside the request, which does not wait for it. */
  #countWrong(address: string): void {
    if (!this.#wrongKeys.count(address)) return;
    const actor = { id: `address:${networkOf(address)}`, name: 'somebody with wrong keys' };
    void this.#audit({ actor, action: 'authenticate', outcome: 'TOO_MANY_ATTEMPTS' });
  }

  async #find(proofs: string[]): Promise<Map<string, FoundKey>> {
    const rows = await this.#database.query<(FoundKey & { hash: Buffer })[]>(
      `SELECT ${apiKeyColumns}, key_hash AS hash, coalesce(last_used_at < now() - $2 * interval '1 second', true) AS "useIsOld"
       FROM api_keys WHERE key_hash = ANY($1::bytea[]) AND ${isLiving}`,
      [proofs.map((proof) => Buffer.from(proof, 'base64')), useIntervalSeconds],
    );
    return new Map(rows.map(({ hash, ...key }) => [hash.toString('base64'), key]));
  }

  /** Beside the request, which does not wait for it. The condition holds for all instances together. */
  async #writeUse(id: number): Promise<void> {
    if (this.#writingUse.has(id)) return;
    this.#writingUse.add(id);
    try {
      await this.#database.query(
        `UPDATE api_keys SET last_used_at = now()
         WHERE id = $1 AND coalesce(last_used_at < now() - $2 * interval '1 second', true)`,
        [id, useIntervalSeconds],
      );
    } catch (error) {
      this.#logger.debug({ err: error, keyId: id }, 'the use of a key could not be written');
    } finally {
      this.#writingUse.delete(id);
    }
  }
}

function notValid(): AppError {
  return unauthenticated('The API key or token is not valid.');
}

export function unauthenticated(message: string): AppError {
  return new AppError(
    'UNAUTHENTICATED',
    `${message} Send it as "Authorization: Bearer …", or as "authorization" in the connection_init payload of a WebSocket.`,
  );
}

function tooManyAttempts(retryAfterMs: number): AppError {
  return new AppError(
    'TOO_MANY_ATTEMPTS',
    `Too many wrong API keys came from your address. Try again in ${Math.ceil(retryAfterMs / 1_000)} s, with a valid key.`,
    { details: { retryAfterMs } },
  );
}
