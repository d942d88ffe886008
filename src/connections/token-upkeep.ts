import { setTimeout as delay } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { AccessTokens } from './access-tokens.ts';

/** The longest time between two looks for tokens to renew; the shortest is half of it, by chance. */
const lookIntervalMs = 3_000;

/** Connections that one look takes at most; when there were so many, the next look follows at once. */
const maxRenewedPerLook = 20;

/** An access token with less life than this is renewed, if its connection is in use; one with a short life, in its second half. */
const renewAheadMs = 5 * 60_000;

/** A connection is in use when it was used within this time. */
const inUseMs = 60 * 60_000;

/** Life of a refresh token when the provider does not tell: what it documents. */
const assumedGrantLifeMs = 60 * 24 * 60 * 60_000;

/** How long one instance has a connection's renewal to itself; a failure then lets it rest for longer. */
const renewalLeaseSeconds = 60;

/**
 * Renews tokens before anybody has to wait for it: the access tokens of connections in use shortly before they expire,
 * and unused grants once less than a third of their life is left. Whoever finds a row takes it for a minute, so
 * instances do not look for the same; who sends is settled by RefreshClaims all the same. A failure lets the connection
 * rest, for longer each time, whichever instance would try next. A connection that nobody uses is left to expire until
 * its grant needs renewing: each refresh is a risk for the grant, and a call.
 */
export class TokenUpkeep {
  readonly #database: DataSource;
  readonly #tokens: AccessTokens;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #closing = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(deps: { database: DataSource; tokens: AccessTokens; clock: Clock; logger: Logger }) {
    this.#database = deps.database;
    this.#tokens = deps.tokens;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Ends between two looks. A call that has left is waited for. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const wasFull = await this.#look().catch((error: unknown) => {
        this.#logger.warn({ err: error }, 'tokens to renew could not be looked for; it will be tried again');
        return false;
      });
      const waitMs = wasFull ? 0 : (this.#clock.lookEveryMs ?? lookIntervalMs) * (0.5 + Math.random() / 2);
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** @returns whether there may be more to do. */
  async #look(): Promise<boolean> {
    const due = await this.#take();
    await Promise.all(due.map(({ id, token_generation }) => this.#renew(id, token_generation)));
    return due.length === maxRenewedPerLook;
  }

  async #renew(connectionId: number, generation: number): Promise<void> {
    try {
      await this.#tokens.refresh(connectionId, generation);
      this.#logger.debug({ connectionId }, 'tokens renewed ahead of time');
    } catch (error) {
      // The refresh itself has said what went wrong with the grant or the provider, and stored it.
      if (!(error instanceof AppError))
        this.#logger.warn({ connectionId, err: error }, 'tokens could not be renewed ahead of time');
    }
  }

  /** Times of tokens are by the app's clock, which stored them; who may try, and when again, is by PostgreSQL's. */
  async #take(): Promise<{ id: number; token_generation: number }[]> {
    const [rows] = await this.#database.query<[{ id: number; token_generation: number }[], number]>(
      `UPDATE connections SET refresh_not_before = clock_timestamp() + make_interval(secs => $6)
       WHERE id IN (
         SELECT c.id FROM connections c,
           LATERAL (SELECT c.access_token_expires_at - c.access_token_issued_at AS access_life,
                           coalesce(c.refresh_token_expires_at, c.refresh_token_issued_at + $4 * interval '1 ms') AS grant_ends_at) t,
           LATERAL (SELECT t.grant_ends_at - c.refresh_token_issued_at AS grant_life) g
         WHERE c.state = 'connected'
           AND (c.refresh_not_before IS NULL OR c.refresh_not_before < clock_timestamp())
           AND (c.refresh_lease_until IS NULL OR c.refresh_lease_until < clock_timestamp())
           AND (c.last_used_at > $1::timestamptz - $2 * interval '1 ms'
                AND c.access_token_expires_at < $1 + least($3 * interval '1 ms', t.access_life / 2)
                -- Where refreshing does not renew the refresh token itself, trying again and again would not help.
                OR t.grant_ends_at < $1 + g.grant_life / 3 AND c.access_token_issued_at < $1 - g.grant_life / 6)
         ORDER BY c.access_token_expires_at
         LIMIT $5 FOR UPDATE OF c SKIP LOCKED
       ) RETURNING id, token_generation`,
      [
        new Date(this.#clock.now()),
        inUseMs,
        renewAheadMs,
        assumedGrantLifeMs,
        maxRenewedPerLook,
        renewalLeaseSeconds,
      ],
    );
    return rows;
  }
}
