import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import type { Clock } from '../clock.ts';
import type { ConnectionSecrets } from './connection-secrets.ts';
import { tokenCallTimeoutMs, type TokenAnswer } from './oauth-client.ts';

/*
 * One refresh per generation.
 *
 * Every refresh kills the pair before it, so among all processes exactly one may send it. Who sends is settled on the
 * connection's row: a claim writes the holder, a lease (by PostgreSQL's clock) and the generation that is being sent,
 * in one statement that only succeeds while nobody holds a living lease. Everybody else waits and re-reads the row;
 * a risen generation means that the new pair is there. The new pair is stored before anyone uses it, and only where
 * generation and holder are still the ones of the claim: a process that slept through its lease writes nothing. The
 * epoch is not asked: a new flow that merely began leaves the grant of now alive.
 *
 * `refresh_sent_generation` outlives the lease. If it still names the present generation when the next claim is made,
 * an earlier answer was lost (crash, time-out) and the upstream may have rotated the pair. Then one further call is
 * made with the old token: it works, or the connection goes to `error` with REFRESH_LOST.
 *
 * Failures that say nothing about the grant (unreachable, 5xx) never change the state.
 */

/** A call that does not begin so soon after its lease was asked for does not begin. */
export const startWithinMs = 1_000;

/** How long storing a new pair may take before somebody else may claim. */
const storeWithinMs = 4_000;

/** What a holder may need from asking to the stored pair, so that a living one never loses its lease. */
export const leaseMs = startWithinMs + tokenCallTimeoutMs + storeWithinMs;

/** Rest from renewals ahead of time after a failure, doubled with each up to the longest. Both give or take a quarter. */
const restSeconds = 10;
const maxRestSeconds = 600;

/** The right to send the one refresh of a generation. */
export interface RefreshClaim {
  holder: string;
  generation: number;
  /** Whether the answer to an earlier refresh of this generation was lost. */
  earlierAnswerLost: boolean;
}

/** Settles on the connections' rows who refreshes, for all processes together. */
export class RefreshClaims {
  readonly #database: DataSource;
  readonly #secrets: ConnectionSecrets;
  readonly #clock: Clock;

  constructor(deps: { database: DataSource; secrets: ConnectionSecrets; clock: Clock }) {
    this.#database = deps.database;
    this.#secrets = deps.secrets;
    this.#clock = deps.clock;
  }

  /** @returns null while somebody else holds a living lease, or when the row is no longer what was read. */
  async claim(connectionId: number, generation: number, epoch: number): Promise<RefreshClaim | null> {
    const holder = randomUUID();
    const [[claimed]]: [{ sent: number | null }[], number] = await this.#database.query(
      `WITH before AS (SELECT id, refresh_sent_generation AS sent FROM connections WHERE id = $1 FOR UPDATE)
       UPDATE connections c
       SET refresh_holder = $2, refresh_lease_until = clock_timestamp() + $3 * interval '1 millisecond', refresh_sent_generation = token_generation
       FROM before
       WHERE c.id = before.id AND c.state = 'connected' AND c.token_generation = $4 AND c.epoch = $5
         AND (c.refresh_lease_until IS NULL OR c.refresh_lease_until < clock_timestamp())
       RETURNING before.sent`,
      [connectionId, holder, leaseMs, generation, epoch],
    );
    return claimed ? { holder, generation, earlierAnswerLost: claimed.sent === generation } : null;
  }

  /** Each call gets a whole lease. @returns false when the claim is no longer ours. */
  async extend(connectionId: number, claim: RefreshClaim): Promise<boolean> {
    const [, affected]: [unknown[], number] = await this.#database.query(
      `UPDATE connections SET refresh_lease_until = clock_timestamp() + $3 * interval '1 millisecond'
       WHERE id = $1 AND refresh_holder = $2`,
      [connectionId, claim.holder, leaseMs],
    );
    return affected === 1;
  }

  /** Stores the new pair and ends the claim. @returns false when the claim is no longer ours: nothing is stored then. */
  async store(connectionId: number, claim: RefreshClaim, answer: TokenAnswer): Promise<boolean> {
    const now = this.#clock.now();
    return this.#database.transaction(async (manager) => {
      const [, affected]: [unknown[], number] = await manager.query(
        `UPDATE connections
         SET token_generation = token_generation + 1, refresh_sent_generation = NULL, refresh_holder = NULL, refresh_lease_until = NULL,
             refresh_failures = 0, refresh_not_before = NULL,
             access_token_issued_at = $6, access_token_expires_at = $4,
             refresh_token_issued_at = CASE WHEN $8 THEN $6 ELSE refresh_token_issued_at END,
             refresh_token_expires_at = CASE WHEN $8 THEN $5 ELSE coalesce($5, refresh_token_expires_at) END,
             last_refreshed_at = $6, updated_at = now(),
             granted_scopes = CASE WHEN cardinality($7::text[]) > 0 THEN $7::text[] ELSE granted_scopes END
         WHERE id = $1 AND token_generation = $2 AND refresh_holder = $3 AND state = 'connected'`,
        [
          connectionId,
          claim.generation,
          claim.holder,
          ...expiries(answer, now),
          new Date(now),
          answer.scopes,
          answer.refreshToken !== null,
        ],
      );
      if (affected !== 1) return false;
      await this.#secrets.storeTokens(manager, connectionId, answer);
      return true;
    });
  }

  /**
   * Ends a claim without a new pair.
   * @param outcome.answerLost Keeps the mark by which the next claim knows that the pair may be dead.
   * @param outcome.failed Lets the connection rest from renewals ahead of time, whichever instance would make them.
   */
  async release(
    connectionId: number,
    claim: RefreshClaim,
    { answerLost, failed }: { answerLost: boolean; failed: boolean },
  ): Promise<void> {
    await this.#database.query(
      `UPDATE connections
       SET refresh_holder = NULL, refresh_lease_until = NULL, refresh_sent_generation = CASE WHEN $3 THEN refresh_sent_generation END,
           refresh_failures = CASE WHEN $4 THEN refresh_failures + 1 ELSE refresh_failures END,
           refresh_not_before = CASE WHEN $4 THEN clock_timestamp() + make_interval(secs =>
             least($6, $5 * 2 ^ least(refresh_failures, 16)) * (0.75 + random() / 2)) ELSE refresh_not_before END
       WHERE id = $1 AND refresh_holder = $2`,
      [connectionId, claim.holder, answerLost, failed, restSeconds, maxRestSeconds],
    );
  }
}

/** Expiry of the access token and, if told, of the refresh token. */
export function expiries(answer: TokenAnswer, nowMs: number): [Date, Date | null] {
  return [
    new Date(nowMs + answer.expiresIn * 1_000),
    answer.refreshExpiresIn === null ? null : new Date(nowMs + answer.refreshExpiresIn * 1_000),
  ];
}
