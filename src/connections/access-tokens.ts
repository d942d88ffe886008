import { setTimeout as delay } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import type { RecordAudit } from '../audit/audit-event.ts';
import type { AccessToken, TokenSource } from '../calendly/tokens.ts';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { ConnectionUse } from './connection-use.ts';
import type { ConnectionSecrets } from './connection-secrets.ts';
import type { Credentials, OAuthClient } from './oauth-client.ts';
import { leaseMs, RefreshClaims } from './refresh-claims.ts';
import { StoredTokens, type TokenRow } from './stored-tokens.ts';
import { TokenRefresh, unavailable, type RefreshOutcome } from './token-refresh.ts';

/** A token with less life than this is refreshed before use; one with a short life, in its second half. */
const refreshAheadMs = 60_000;

/** How often the waiting look at the row. */
const pollMs = 40;

/** The longest wait for somebody else's refresh. */
const maxWaitMs = leaseMs + 5_000;

/** Access tokens of all connections, refreshed by themselves: once per generation, see RefreshClaims. */
export class AccessTokens {
  readonly #clock: Clock;
  readonly #stored: StoredTokens;
  readonly #claims: RefreshClaims;
  readonly #refresh: TokenRefresh;
  readonly #use: ConnectionUse;
  /** One refresh in flight per connection in this process; the database settles it among processes. */
  readonly #refreshing = new Map<number, Promise<AccessToken>>();
  readonly #closing = new AbortController();

  constructor(deps: {
    database: DataSource;
    secrets: ConnectionSecrets;
    oauth: (credentials: Credentials) => OAuthClient;
    audit: RecordAudit;
    clock: Clock;
    logger: Logger;
    /** Told what became of each renewal that this process had claimed. */
    onRefresh?: (connectionId: number, outcome: RefreshOutcome) => void;
  }) {
    this.#clock = deps.clock;
    this.#stored = new StoredTokens(deps);
    this.#claims = new RefreshClaims(deps);
    this.#refresh = new TokenRefresh({
      ...deps,
      stored: this.#stored,
      claims: this.#claims,
      onRefresh: deps.onRefresh ?? (() => undefined),
    });
    this.#use = new ConnectionUse(deps);
  }

  source(connectionId: number): TokenSource {
    return {
      connectionId,
      current: () => this.current(connectionId),
      replacementFor: (refused) => this.#replacementFor(connectionId, refused),
    };
  }

  /** @throws AppError CONNECTION_NOT_FOUND, CONNECTION_NOT_CONNECTED, SECRET_UNREADABLE, UPSTREAM_UNAVAILABLE */
  async current(connectionId: number): Promise<AccessToken> {
    const row = await this.#stored.read(connectionId);
    this.#use.note(connectionId, row.last_used_at);
    const { lifeMs, isOld } = this.#ageOf(row);
    // Nobody waits for a provider that has just failed, while the token still works.
    if (!isOld || (lifeMs > 0 && row.refresh_rests)) return this.#stored.openOrGiveUp(row);
    try {
      return await this.refresh(connectionId, row.token_generation);
    } catch (error) {
      const transient = error instanceof AppError && error.code === 'UPSTREAM_UNAVAILABLE';
      if (transient && lifeMs > 0) return this.#stored.openOrGiveUp(row);
      throw error;
    }
  }

  /**
   * A refresh on demand: afterwards the pair of now is void. Whoever asks at the same time shares it.
   * @throws AppError CONNECTION_NOT_FOUND, CONNECTION_NOT_CONNECTED, UPSTREAM_UNAVAILABLE
   */
  async rotate(connectionId: number): Promise<void> {
    const { token_generation: generation } = await this.#stored.read(connectionId);
    await this.refresh(connectionId, generation);
  }

  /**
   * A pair newer than `generation`, whoever fetches it.
   * @throws AppError CONNECTION_NOT_FOUND, CONNECTION_NOT_CONNECTED, UPSTREAM_UNAVAILABLE
   */
  async refresh(connectionId: number, generation: number): Promise<AccessToken> {
    for (;;) {
      const underWay = this.#refreshing.get(connectionId);
      if (!underWay) break;
      const token = await underWay;
      // What was under way may have been the refresh of the generation before.
      if (token.generation > generation) return token;
    }
    const refreshing = this.#refreshOrWait(connectionId, generation).finally(() =>
      this.#refreshing.delete(connectionId),
    );
    this.#refreshing.set(connectionId, refreshing);
    return refreshing;
  }

  /** Lets calls that have left end, so that their pairs are stored; begins no more. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled([...this.#refreshing.values(), this.#use.written()]);
  }

  async #replacementFor(connectionId: number, refused: AccessToken): Promise<AccessToken> {
    const row = await this.#stored.read(connectionId);
    return row.token_generation > refused.generation
      ? this.#stored.openOrGiveUp(row)
      : this.refresh(connectionId, refused.generation);
  }

  async #refreshOrWait(connectionId: number, generation: number): Promise<AccessToken> {
    const giveUpAt = performance.now() + maxWaitMs;
    for (;;) {
      const row = await this.#stored.read(connectionId);
      if (row.token_generation > generation) return this.#stored.openOrGiveUp(row);
      if (this.#closing.signal.aborted) throw unavailable(connectionId, 'This instance is shutting down');
      const claim = await this.#claims.claim(connectionId, row.token_generation, row.epoch);
      if (claim) return this.#refresh.run(row, claim, this.#closing.signal);
      if (performance.now() > giveUpAt)
        throw unavailable(
          connectionId,
          'Another instance is refreshing the access token and has not finished',
        );
      await delay(pollMs);
    }
  }

  #ageOf(row: TokenRow): { lifeMs: number; isOld: boolean } {
    const expiresAt = row.access_token_expires_at?.getTime() ?? 0;
    const lifeMs = expiresAt - this.#clock.now();
    const issuedAt = row.access_token_issued_at?.getTime() ?? -Infinity;
    const aheadMs = Math.min(refreshAheadMs, Math.max(0, (expiresAt - issuedAt) / 2));
    return { lifeMs, isOld: lifeMs <= aheadMs };
  }
}
