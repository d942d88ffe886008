import type { DataSource } from 'typeorm';
import type { ActionTemplate } from './action-template.ts';
import { deliveryColumns, type Delivery, type DeliveryStatus } from './delivery.ts';
import { failuresUntilResting } from './retry-schedule.ts';

/** A delivery whose process is gone is taken over after this. Renewed while it is under way. */
export const leaseSeconds = 15;
/** Deliveries of one trigger that are under way at once, over all instances; one while its endpoint fails. */
const maxUnderWayPerTrigger = 10;

/** A delivery that is ours to make, and where to. */
export type ClaimedDelivery = Delivery & {
  connectionId: number;
  endpointUrl: string | null;
  action: ActionTemplate | null;
  /** Writes that had no effect, of one with an action. */
  actionRound: number;
  openSince: Date | null;
};

export interface Outcome {
  status: DeliveryStatus;
  at: Date;
  /** Of one that waits on. */
  nextAttemptAt: Date | null;
  httpStatus: number | null;
  answer: string | null;
  durationMs: number;
  error: { code: string; message: string } | null;
  /** Of an action: whether it is not known yet what came of its write. */
  isOpen: boolean;
  /** … and whether its next attempt is a write of its own. */
  isKeyUsedUp: boolean;
}

/**
 * The right to make a delivery, held on its row by PostgreSQL's clock. Of each record only the oldest unfinished delivery
 * may be taken, so what comes of it is stored before the next leaves; records do not wait for each other. What came of it
 * is written only where the lease is still the one that it was made under.
 */
export class DeliveryLeases {
  readonly #database: DataSource;

  constructor(database: DataSource) {
    this.#database = database;
  }

  /** At most `limit` deliveries that are due. Triggers with the fewest under way come first: slow endpoints starve nobody. */
  async claim(holder: string, limit: number, now: Date): Promise<ClaimedDelivery[]> {
    const [rows] = await this.#database.query<[ClaimedDelivery[], number]>(
      `WITH due AS (
         SELECT chosen.id, t.endpoint_url, t.action, t.connection_id FROM (
           SELECT one.*, h.failures_in_row, (
             SELECT count(*) FROM trigger_deliveries AS leased
             WHERE leased.trigger_id = one.id AND leased.status = 'WAITING' AND leased.lease_until > clock_timestamp()) AS under_way
           FROM triggers AS one JOIN trigger_health AS h ON h.trigger_id = one.id
           WHERE one.state = 'active' AND (h.rest_until IS NULL OR h.rest_until <= $3)
           ORDER BY under_way, random()
         ) AS t
         CROSS JOIN LATERAL (
           SELECT one.id FROM trigger_deliveries AS one
           WHERE one.trigger_id = t.id AND one.status = 'WAITING' AND one.next_attempt_at <= $3
             AND (one.lease_until IS NULL OR one.lease_until < clock_timestamp())
             AND NOT EXISTS (
               SELECT 1 FROM trigger_deliveries AS other
               WHERE other.trigger_id = t.id AND other.record_id = one.record_id AND other.status = 'WAITING'
                 AND other.id <> one.id AND (other.id < one.id OR other.lease_until > clock_timestamp()))
           ORDER BY one.next_attempt_at, one.id
           LIMIT greatest(0, CASE WHEN t.failures_in_row >= $5 THEN 1 ELSE $6 END - t.under_way)
           FOR UPDATE OF one SKIP LOCKED
         ) AS chosen
         LIMIT $2
       )
       UPDATE trigger_deliveries AS d
       SET lease_holder = $1, lease_until = clock_timestamp() + make_interval(secs => $4)
       FROM due WHERE d.id = due.id
       RETURNING ${deliveryColumns}, due.endpoint_url AS "endpointUrl", due.action, due.connection_id AS "connectionId",
         d.action_round AS "actionRound", d.open_since AS "openSince"`,
      [holder, limit, now, leaseSeconds, failuresUntilResting, maxUnderWayPerTrigger],
    );
    return rows;
  }

  async renew(holder: string): Promise<void> {
    await this.#database.query(
      `UPDATE trigger_deliveries SET lease_until = clock_timestamp() + make_interval(secs => $2)
       WHERE lease_holder = $1 AND status = 'WAITING' AND lease_until > clock_timestamp()`,
      [holder, leaseSeconds],
    );
  }

  /** @returns whether the lease was still ours; otherwise somebody else makes the delivery, and nothing was written */
  async finish(deliveryId: string, holder: string, outcome: Outcome): Promise<boolean> {
    const { status, at, nextAttemptAt, httpStatus, answer, durationMs, error } = outcome;
    const [, count] = await this.#database.query<[unknown[], number]>(
      `UPDATE trigger_deliveries SET status = $3, attempts = attempts + 1, first_attempt_at = coalesce(first_attempt_at, $4),
              last_attempt_at = $4, next_attempt_at = coalesce($5, next_attempt_at), http_status = $6, answer = $7, duration_ms = $8,
              error_code = $9, error_message = $10, finished_at = CASE WHEN $3 = 'WAITING' THEN NULL ELSE $4::timestamptz END,
              open_since = CASE WHEN $11 THEN open_since END,
              action_round = action_round + CASE WHEN $12 THEN 1 ELSE 0 END,
              lease_holder = NULL, lease_until = NULL
       WHERE id = $1 AND lease_holder = $2 AND status = 'WAITING'`,
      [
        deliveryId,
        holder,
        status,
        at,
        nextAttemptAt,
        httpStatus,
        answer,
        durationMs,
        error?.code ?? null,
        error?.message ?? null,
        outcome.isOpen,
        outcome.isKeyUsedUp,
      ],
    );
    return count > 0;
  }

  /** For one that was not made after all. */
  async giveBack(deliveryId: string, holder: string): Promise<void> {
    await this.#database.query(
      `UPDATE trigger_deliveries SET lease_holder = NULL, lease_until = NULL WHERE id = $1 AND lease_holder = $2`,
      [deliveryId, holder],
    );
  }
}
