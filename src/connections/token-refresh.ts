import { setTimeout as delay } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import type { AccessToken } from '../calendly/tokens.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { ConnectionSecrets } from './connection-secrets.ts';
import { OAuthFailure, type Credentials, type OAuthClient, type TokenAnswer } from './oauth-client.ts';
import { offerPair } from './pair-offering.ts';
import { startWithinMs, type RefreshClaim, type RefreshClaims } from './refresh-claims.ts';
import type { StoredTokens, TokenRow } from './stored-tokens.ts';

/** Calls of one claim while the provider is surely without effect or its answer is lost. */
const maxAttempts = 3;
const retryBaseMs = 200;

/** Times that a lease is asked for in a row because the answers came too late to begin a call. */
const maxExtensions = 3;

/**
 * How long a new pair is offered to a database that does not take it, in milliseconds. It may go on when the lease has ended:
 * nobody claims while the database is away, and where somebody else has claimed since, nothing is stored.
 */
const offeredForMs = 120_000;

/*
 * One claimed refresh:
 *
 *   the lease is made whole       not ours any more: nothing is sent, and a newer pair is used if there is one
 *   the call
 *     a pair                      stored where generation and holder are still the claim's, then used; else revoked
 *     surely without effect       again, up to three calls
 *     refused                     error, after one more look for a newer pair
 *     lost, 409, 5xx              one call more; refused then, or 409 again, the pair is lost: REFRESH_LOST
 *   whatever came of it           the claim is given back; a failure lets the connection rest from renewals ahead of time
 *
 * A call that was begun is never aborted: its pair would be lost.
 */

/** What became of a renewal; `race_lost`: another process was faster, and its pair is used. */
export type RefreshOutcome = 'renewed' | 'failed' | 'race_lost';

/** Sends the refresh that a claim gives the right to. */
export class TokenRefresh {
  readonly #deps: {
    database: DataSource;
    secrets: ConnectionSecrets;
    stored: StoredTokens;
    claims: RefreshClaims;
    oauth: (credentials: Credentials) => OAuthClient;
    logger: Logger;
    onRefresh: (connectionId: number, outcome: RefreshOutcome) => void;
  };

  constructor(deps: {
    database: DataSource;
    secrets: ConnectionSecrets;
    stored: StoredTokens;
    claims: RefreshClaims;
    oauth: (credentials: Credentials) => OAuthClient;
    logger: Logger;
    onRefresh: (connectionId: number, outcome: RefreshOutcome) => void;
  }) {
    this.#deps = deps;
  }

  /**
   * @param closing Ends the tries, not a call.
   * @throws AppError CONNECTION_NOT_CONNECTED, UPSTREAM_UNAVAILABLE
   */
  async run(row: TokenRow, claim: RefreshClaim, closing: AbortSignal): Promise<AccessToken> {
    const { database, secrets, stored, claims, oauth, logger, onRefresh } = this.#deps;
    const { id } = row;
    let answerLost = claim.earlierAnswerLost;
    let failed = false;
    let outcome: RefreshOutcome = 'failed';
    const overtakenBy = (newer: AccessToken): AccessToken => {
      outcome = 'race_lost';
      return newer;
    };
    try {
      const clientSecret = await secrets.clientSecret(database, id);
      const refreshToken = (await secrets.tokens(database, id))?.refreshToken;
      if (!refreshToken) return overtakenBy(await stored.giveUp(id, claim.generation, 'INVALID_GRANT'));
      const client = oauth({ clientId: row.client_id, clientSecret });
      for (let attempt = 1; ; attempt += 1) {
        if (!(await this.#renewLease(id, claim)))
          return overtakenBy(await this.#newerOr(id, claim, 'Another instance took over its refresh'));
        try {
          const answer = await client.refresh(refreshToken);
          // From here on the old pair is dead: should storing fail, the next claim has to know.
          answerLost = true;
          const token = await offerPair(() => this.#store(id, claim, answer, client), {
            connectionId: id,
            forMs: offeredForMs,
            logger,
          });
          outcome = token.value === answer.accessToken ? 'renewed' : 'race_lost';
          return token;
        } catch (error) {
          if (!(error instanceof OAuthFailure)) throw error;
          logger.warn(
            { connectionId: id, attempt, kind: error.kind, problem: error.problem },
            'token refresh failed',
          );
          if (error.kind === 'refused') {
            const isLost = answerLost && error.problem === 'INVALID_GRANT';
            const problem = isLost ? 'REFRESH_LOST' : error.problem;
            return overtakenBy(await stored.giveUp(id, claim.generation, problem));
          }
          if (error.kind === 'already_refreshed' && answerLost)
            return overtakenBy(await stored.giveUp(id, claim.generation, 'REFRESH_LOST'));
          const wasLost = answerLost;
          if (error.kind !== 'unavailable') answerLost = true;
          // After a lost answer one further call is made, not more: each invalid one endangers the grant.
          const isLast = attempt >= maxAttempts || (wasLost && error.kind !== 'unavailable');
          if (isLast || closing.aborted) {
            failed = true;
            throw unavailable(id, error.message);
          }
          await delay(Math.random() * retryBaseMs * 2 ** attempt);
        }
      }
    } catch (error) {
      if (error instanceof AppError && error.code === 'SECRET_UNREADABLE')
        return await stored.giveUp(id, claim.generation, 'SECRET_UNREADABLE');
      throw error;
    } finally {
      onRefresh(id, outcome);
      // What came of the refresh counts, whether or not the claim could be given back: its lease ends by itself.
      await claims
        .release(id, claim, { answerLost, failed })
        .catch((error: unknown) =>
          logger.warn({ connectionId: id, err: error }, 'a claim to refresh could not be given back'),
        );
    }
  }

  /**
   * A call may begin only right after its lease was made whole: a process that slept in between, or whose database was
   * slow, would still be at it when the next holder sends.
   * @returns false when the claim is no longer ours
   */
  async #renewLease(connectionId: number, claim: RefreshClaim): Promise<boolean> {
    for (let extension = 1; extension <= maxExtensions; extension += 1) {
      const askedAt = performance.now();
      if (!(await this.#deps.claims.extend(connectionId, claim))) return false;
      if (performance.now() - askedAt <= startWithinMs) return true;
    }
    throw unavailable(connectionId, 'PostgreSQL answered too late to begin in time');
  }

  async #store(
    connectionId: number,
    claim: RefreshClaim,
    answer: TokenAnswer,
    client: OAuthClient,
  ): Promise<AccessToken> {
    if (await this.#deps.claims.store(connectionId, claim, answer))
      return { value: answer.accessToken, generation: claim.generation + 1 };
    // A commit whose answer was lost has stored it all the same.
    const token = await this.#deps.stored.newerThan(claim.generation, connectionId);
    if (token?.value === answer.accessToken) return token;
    // Disconnected, changed or overtaken meanwhile: the pair belongs to nobody.
    this.#deps.logger.warn({ connectionId }, 'a refreshed token pair came too late and was given up');
    await client.revokePair(answer);
    return token ?? this.#newerOr(connectionId, claim, 'The connection changed meanwhile');
  }

  async #newerOr(connectionId: number, claim: RefreshClaim, what: string): Promise<AccessToken> {
    const token = await this.#deps.stored.newerThan(claim.generation, connectionId);
    if (token) return token;
    throw unavailable(connectionId, what);
  }
}

export function unavailable(connectionId: number, what: string): AppError {
  return new AppError(
    'UPSTREAM_UNAVAILABLE',
    `The access token of connection ${connectionId} could not be refreshed: ${what}. The connection stays as it is; try again in a moment.`,
    {
      details: { connectionId },
    },
  );
}
