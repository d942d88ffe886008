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

/** Longer than a token call may take, so that a living holder never loses its lease. */
export const leaseMs = tokenCallTimeoutMs + 5_000;

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
             access_token_expires_at = $4, refresh_token_expires_at = coalesce($5, refresh_token_expires_at), last_refreshed_at = $6, updated_at = now(),
             granted_scopes = CASE WHEN cardinality($7::text[]) > 0 THEN $7::text[] ELSE granted_scopes END
         WHERE id = $1 AND token_generation = $2 AND refresh_holder = $3 AND state = 'connected'`,
        [
          connectionId,
          claim.generation,
          claim.holder,
          ...expiries(answer, now),
          new Date(now),
          answer.scopes,
        ],
      );
      if (affected !== 1) return false;
      await this.#secrets.storeTokens(manager, connectionId, answer);
      return true;
    });
  }

  /** @param answerLost Keeps the mark by which the next claim knows that the pair may be dead. */
  async release(connectionId: number, claim: RefreshClaim, answerLost: boolean): Promise<void> {
    await this.#database.query(
      `UPDATE connections
       SET refresh_holder = NULL, refresh_lease_until = NULL, refresh_sent_generation = CASE WHEN $3 THEN refresh_sent_generation END
       WHERE id = $1 AND refresh_holder = $2`,
      [connectionId, claim.holder, answerLost],
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
