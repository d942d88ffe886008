import type { DataSource } from 'typeorm';
import { answeredEarly } from '../database/early-answer.ts';
import { runPrepared, type PreparedStatement } from '../database/prepared.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { selectWebhooks, type Webhook } from './webhook.ts';

/** A drain whose process is gone is taken over after this. */
export const leaseSeconds = 10;

/** Wait after failures: doubled each time, up to the bound. */
const firstRetrySeconds = 1;
const maxRetrySeconds = 60;

/** A webhook whose lease has been taken, as it is from then on, and when that was. */
export type TakenWebhook = Webhook & { startedAt: Date };

/**
 * It selects from what it has updated, under the name of the table. The wait that earlier failures have asked for is over with
 * it: should this process die, whoever takes over is to wait for the end of the lease alone.
 */
const takeLease: PreparedStatement = {
  name: 'take-drain-lease',
  text: `
    WITH webhooks AS (
      UPDATE webhooks SET drain_holder = $2, drain_lease_until = clock_timestamp() + make_interval(secs => $3),
        drain_wanted_at = NULL, drain_not_before = NULL
      WHERE id = $1 AND state = 'active' AND (drain_holder IS NULL OR drain_lease_until < clock_timestamp())
        AND ($4 = false OR drain_wanted_at IS NOT NULL) AND ${answeredEarly}
      RETURNING *
    )
    SELECT taken.*, clock_timestamp() AS "startedAt" FROM (${selectWebhooks}) AS taken`,
};

/** What a drain that has come to its end leaves in the webhook's row. @param startedAt the parameter with its beginning */
export const givenBack = (startedAt: string): string =>
  `drain_holder = NULL, drain_lease_until = NULL, last_drained_at = ${startedAt}, drain_failures = 0, drain_not_before = NULL,
   problem = NULL, behind_since = drain_wanted_at`;

const giveLeaseBack: PreparedStatement = {
  name: 'give-drain-lease-back',
  text: `UPDATE webhooks SET ${givenBack('$3')} WHERE id = $1 AND drain_holder = $2 AND ${answeredEarly}
         RETURNING drain_wanted_at IS NOT NULL AS wanted`,
};

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

  /** @returns null when another drain holds it, when nothing is wanted, or when the webhook is not active */
  async take(webhookId: string, holder: string, onlyIfWanted: boolean): Promise<TakenWebhook | null> {
    const values = [webhookId, holder, leaseSeconds, onlyIfWanted];
    const [taken] = await runPrepared<TakenWebhook>(this.#database, takeLease, values);
    return taken ?? null;
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

  /** @returns whether another drain was asked for meanwhile */
  async giveBack({ id, startedAt }: TakenWebhook, holder: string): Promise<boolean> {
    const values = [id, holder, startedAt];
    const [row] = await runPrepared<{ wanted: boolean }>(this.#database, giveLeaseBack, values);
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
