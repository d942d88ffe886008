import { setTimeout as delay } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { connectionNotFound } from '../access/caller.ts';
import type { AccessToken, TokenSource } from '../calendly/tokens.ts';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { ConnectionState } from './connection.entity.ts';
import type { ConnectionSecrets } from './connection-secrets.ts';
import { recordProblem } from './connections.ts';
import { notConnected } from './not-connected.ts';
import { OAuthFailure, type Credentials, type OAuthClient, type TokenAnswer } from './oauth-client.ts';
import type { ProblemCode } from './problem.ts';
import { leaseMs, RefreshClaims, type RefreshClaim } from './refresh-claims.ts';

/** A token with less life than this is refreshed before use. */
const refreshAheadMs = 60_000;

/** How long a new pair is offered to a database that does not take it; less than what is left of the lease. */
const storeWithinMs = 4_000;
const storeRetryMs = 250;

/** How often the waiting look at the row. */
const pollMs = 40;

/** The longest wait for somebody else's refresh. */
const maxWaitMs = leaseMs + 5_000;

/** Calls of one claim while the provider is surely without effect or its answer is lost. */
const maxAttempts = 3;
const retryBaseMs = 200;

interface TokenRow {
  state: ConnectionState;
  problem_code: string | null;
  epoch: number;
  token_generation: number;
  access_token_expires_at: Date | null;
  client_id: string;
  access_token: string | null;
}

/** Access tokens of all connections, refreshed by themselves: once per generation, see RefreshClaims. */
export class AccessTokens {
  readonly #database: DataSource;
  readonly #secrets: ConnectionSecrets;
  readonly #oauth: (credentials: Credentials) => OAuthClient;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #claims: RefreshClaims;
  /** One refresh in flight per connection in this process; the database settles it among processes. */
  readonly #refreshing = new Map<number, Promise<AccessToken>>();

  constructor(deps: {
    database: DataSource;
    secrets: ConnectionSecrets;
    oauth: (credentials: Credentials) => OAuthClient;
    clock: Clock;
    logger: Logger;
  }) {
    this.#database = deps.database;
    this.#secrets = deps.secrets;
    this.#oauth = deps.oauth;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#claims = new RefreshClaims(deps);
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
    const row = await this.#read(connectionId);
    const lifeMs = this.#lifeMs(row);
    if (lifeMs > refreshAheadMs) return this.#openOrGiveUp(connectionId, row);
    try {
      return await this.refresh(connectionId, row.token_generation);
    } catch (error) {
      const transient = error instanceof AppError && error.code === 'UPSTREAM_UNAVAILABLE';
      if (transient && lifeMs > 0) return this.#openOrGiveUp(connectionId, row);
      throw error;
    }
  }

  /**
   * A refresh on demand: afterwards the pair of now is void. Whoever asks at the same time shares it.
   * @throws AppError CONNECTION_NOT_FOUND, CONNECTION_NOT_CONNECTED, UPSTREAM_UNAVAILABLE
   */
  async rotate(connectionId: number): Promise<void> {
    const { token_generation: generation } = await this.#read(connectionId);
    const token = await this.refresh(connectionId, generation);
    // What was under way when we looked may have been the refresh of the generation before.
    if (token.generation <= generation) await this.refresh(connectionId, generation);
  }

  /** A pair newer than `generation`, whoever fetches it. */
  refresh(connectionId: number, generation: number): Promise<AccessToken> {
    let refreshing = this.#refreshing.get(connectionId);
    if (!refreshing) {
      refreshing = this.#refreshOrWait(connectionId, generation).finally(() =>
        this.#refreshing.delete(connectionId),
      );
      this.#refreshing.set(connectionId, refreshing);
    }
    return refreshing;
  }

  async #replacementFor(connectionId: number, refused: AccessToken): Promise<AccessToken | null> {
    const row = await this.#read(connectionId);
    const token =
      row.token_generation > refused.generation
        ? this.#open(connectionId, row)
        : await this.refresh(connectionId, refused.generation);
    return token.generation > refused.generation ? token : null;
  }

  async #refreshOrWait(connectionId: number, generation: number): Promise<AccessToken> {
    const giveUpAt = performance.now() + maxWaitMs;
    for (;;) {
      const row = await this.#read(connectionId);
      if (row.token_generation > generation) return this.#open(connectionId, row);
      const claim = await this.#claims.claim(connectionId, row.token_generation, row.epoch);
      if (claim) return this.#send(connectionId, row, claim);
      if (performance.now() > giveUpAt)
        throw unavailable(
          connectionId,
          'Another instance is refreshing the access token and has not finished',
        );
      await delay(pollMs);
    }
  }

  async #send(connectionId: number, row: TokenRow, claim: RefreshClaim): Promise<AccessToken> {
    let answerLost = claim.earlierAnswerLost;
    try {
      const clientSecret = await this.#secrets.clientSecret(this.#database, connectionId);
      const refreshToken = (await this.#secrets.tokens(this.#database, connectionId))?.refreshToken;
      if (!refreshToken) return await this.#giveUp(connectionId, claim, 'INVALID_GRANT');
      const client = this.#oauth({ clientId: row.client_id, clientSecret });
      for (let attempt = 1; ; attempt += 1) {
        if (!(await this.#claims.extend(connectionId, claim)))
          throw unavailable(connectionId, 'Another instance took over its refresh');
        try {
          const answer = await client.refresh(refreshToken);
          // From here on the old pair is dead: should storing fail, the next claim has to know.
          answerLost = true;
          return await this.#storeWithin(connectionId, claim, answer, client);
        } catch (error) {
          if (!(error instanceof OAuthFailure)) throw error;
          this.#logger.warn(
            { connectionId, attempt, kind: error.kind, problem: error.problem },
            'token refresh failed',
          );
          if (error.kind === 'refused')
            return await this.#giveUp(
              connectionId,
              claim,
              answerLost && error.problem === 'INVALID_GRANT' ? 'REFRESH_LOST' : error.problem,
            );
          if (error.kind === 'already_refreshed' && answerLost)
            return await this.#giveUp(connectionId, claim, 'REFRESH_LOST');
          const wasLost = answerLost;
          if (error.kind !== 'unavailable') answerLost = true;
          // After a lost answer one further call is made, not more: each invalid one endangers the grant.
          if (attempt >= maxAttempts || (wasLost && error.kind !== 'unavailable'))
            throw unavailable(connectionId, error.message);
          await delay(Math.random() * retryBaseMs * 2 ** attempt);
        }
      }
    } catch (error) {
      if (error instanceof AppError && error.code === 'SECRET_UNREADABLE')
        await this.#giveUp(connectionId, claim, 'SECRET_UNREADABLE');
      throw error;
    } finally {
      await this.#claims.release(connectionId, claim, answerLost);
    }
  }

  /** A pair that the database would not take is offered again until the lease ends: there is no other copy of it. */
  async #storeWithin(
    connectionId: number,
    claim: RefreshClaim,
    answer: TokenAnswer,
    client: OAuthClient,
  ): Promise<AccessToken> {
    const giveUpAt = performance.now() + storeWithinMs;
    for (;;) {
      try {
        return await this.#store(connectionId, claim, answer, client);
      } catch (error) {
        if (error instanceof AppError || performance.now() > giveUpAt) throw error;
        this.#logger.warn({ connectionId, err: error }, 'a refreshed token pair could not be stored yet');
        await delay(storeRetryMs);
      }
    }
  }

  async #store(
    connectionId: number,
    claim: RefreshClaim,
    answer: TokenAnswer,
    client: OAuthClient,
  ): Promise<AccessToken> {
    const stored = await this.#claims.store(connectionId, claim, answer);
    if (stored) return { value: answer.accessToken, generation: claim.generation + 1 };
    // A commit whose answer was lost has stored it all the same.
    const row = await this.#read(connectionId).catch(() => null);
    const token = row && row.token_generation > claim.generation ? this.#open(connectionId, row) : null;
    if (token?.value === answer.accessToken) return token;
    // Disconnected, changed or overtaken meanwhile: the pair belongs to nobody.
    await client.revokePair(answer);
    if (token) return token;
    throw unavailable(connectionId, 'The connection changed while its access token was refreshed');
  }

  /** One more look for a newer pair, then the state `error`. */
  async #giveUp(
    connectionId: number,
    claim: Pick<RefreshClaim, 'generation'>,
    problem: ProblemCode,
  ): Promise<AccessToken> {
    const row = await this.#read(connectionId);
    if (row.token_generation > claim.generation) return this.#open(connectionId, row);
    await recordProblem(
      this.#database.manager,
      { id: connectionId, tokenGeneration: claim.generation },
      problem,
      ['connected'],
    );
    this.#logger.error({ connectionId, problem }, 'connection lost its authorization');
    throw notConnected(connectionId, 'error', problem);
  }

  async #read(connectionId: number): Promise<TokenRow> {
    const rows: TokenRow[] = await this.#database.query(
      `SELECT c.state, c.problem_code, c.epoch, c.token_generation, c.access_token_expires_at, c.client_id, s.access_token
       FROM connections c JOIN connection_secrets s ON s.connection_id = c.id WHERE c.id = $1`,
      [connectionId],
    );
    const [row] = rows;
    if (!row) throw connectionNotFound(connectionId);
    if (row.state !== 'connected') throw notConnected(connectionId, row.state, row.problem_code);
    return row;
  }

  #lifeMs(row: TokenRow): number {
    return (row.access_token_expires_at?.getTime() ?? 0) - this.#clock.now();
  }

  /** A stored token that can't be decrypted will not be so the next time either. */
  async #openOrGiveUp(connectionId: number, row: TokenRow): Promise<AccessToken> {
    try {
      return this.#open(connectionId, row);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'SECRET_UNREADABLE') throw error;
      return this.#giveUp(connectionId, { generation: row.token_generation }, 'SECRET_UNREADABLE');
    }
  }

  #open(connectionId: number, row: TokenRow): AccessToken {
    if (row.access_token === null) throw notConnected(connectionId, row.state, row.problem_code);
    return {
      value: this.#secrets.openAccessToken(row.access_token, connectionId),
      generation: row.token_generation,
    };
  }
}

function unavailable(connectionId: number, what: string): AppError {
  return new AppError(
    'UPSTREAM_UNAVAILABLE',
    `The access token of connection ${connectionId} could not be refreshed: ${what}. The connection stays as it is; try again in a moment.`,
    {
      details: { connectionId },
    },
  );
}
