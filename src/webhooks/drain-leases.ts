import type { DataSource } from 'typeorm';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';

/** A drain whose process is gone is taken over after this. */
export const leaseSeconds = 10;

/** Wait after failures: doubled each time, up to the bound. */
const firstRetrySeconds = 1;
const maxRetrySeconds = 60;

/**
 * The right to drain one webhook, held on its row by PostgreSQL's clock. Taking it clears `drain_wanted_at` and giving
 * it back looks again, so that a ping which comes in between is never forgotten, on whichever instance it came.
 */
export class DrainLeases {
  readonly #database: DataSource;
  readonly #logger: Logger;

  constructor(deps: { database: DataSource; logger: Logger }) {
    this.#database = deps.database;
    this.#logger = deps.logger;
  }

  async take(webhookId: string, holder: string, onlyIfWanted: boolean): Promise<Date | null> {
    const [[row]] = await this.#database.query<[{ now: Date }[], number]>(
      `UPDATE webhooks SET drain_holder = $2, drain_lease_until = clock_timestamp() + make_interval(secs => $3), drain_wanted_at = NULL
       WHERE id = $1 AND state = 'active' AND (drain_holder IS NULL OR drain_lease_until < clock_timestamp())
         AND ($4 = false OR drain_wanted_at IS NOT NULL)
       RETURNING clock_timestamp() AS now`,
      [webhookId, holder, leaseSeconds, onlyIfWanted],
    );
    return row?.now ?? null;
  }

  async renew(webhookId: string, holder: string): Promise<void> {
    await this.#database
      .query(
        `UPDATE webhooks SET drain_lease_until = clock_timestamp() + make_interval(secs => $3) WHERE id = $1 AND drain_holder = $2`,
        [webhookId, holder, leaseSeconds],
      )
      .catch((error: unknown) =>
        this.#logger.debug({ err: error, webhook: webhookId }, 'a lease could not be renewed'),
      );
  }

  async giveBack(webhookId: string, holder: string, startedAt: Date): Promise<boolean> {
    const [[row]] = await this.#database.query<[{ wanted: boolean }[], number]>(
      `UPDATE webhooks SET drain_holder = NULL, drain_lease_until = NULL, last_drained_at = $3, drain_failures = 0, drain_not_before = NULL,
              problem = NULL, behind_since = drain_wanted_at
       WHERE id = $1 AND drain_holder = $2 RETURNING drain_wanted_at IS NOT NULL AS wanted`,
      [webhookId, holder, startedAt],
    );
    return row?.wanted ?? false;
  }

  /** The work is still wanted: by another instance at once when we are closing, else after a pause that grows with each failure. */
  async giveUp(webhookId: string, holder: string, error: unknown, closing: boolean): Promise<void> {
    await this.#database
      .query(
        `UPDATE webhooks SET drain_holder = NULL, drain_lease_until = NULL, drain_wanted_at = coalesce(drain_wanted_at, clock_timestamp()),
                drain_failures = drain_failures + $3::integer, problem = coalesce($4, problem),
                drain_not_before = clock_timestamp() + $3::integer * make_interval(secs => least($6::float8, $5::float8 * power(2, least(drain_failures, 10))) * (0.5 + random() / 2))
         WHERE id = $1 AND drain_holder = $2`,
        [
          webhookId,
          holder,
          closing ? 0 : 1,
          error instanceof AppError && !closing ? error.message : null,
          firstRetrySeconds,
          maxRetrySeconds,
        ],
      )
      .catch(() => undefined);
  }
}
