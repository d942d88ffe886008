import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import type { ActionTemplate } from './action-template.ts';
import { claiming, fewRecords } from './delivery-claim.ts';
import { maxTakenPerTrigger } from './delivery-lanes.ts';
import type { Delivery, DeliveryStatus } from './delivery.ts';
import { LeaseWatch } from './lease-watch.ts';
import { failuresUntilResting } from './retry-schedule.ts';
import { judgingEndpoints, type Failing } from './trigger-health.ts';
import type { SealedSecrets } from './trigger-secrets.ts';

/** A delivery whose process is gone is taken over after this. Renewed while it is under way. */
const leaseSeconds = 15;

type Told = Pick<Delivery, 'id' | 'triggerId' | 'eventId' | 'body' | 'chain' | 'firstAttemptAt'>;

/** A delivery that is ours to make, and where to. */
export type ClaimedDelivery = Told &
  SealedSecrets & {
    /** Attempts since its three days began. */
    failures: number;
    connectionId: number;
    endpointUrl: string | null;
    action: ActionTemplate | null;
    /** When the trigger was last edited, paused or set going before that was read of it. */
    asOf: Date;
    /** Writes that had no effect, of one with an action. */
    actionRound: number;
    openSince: Date | null;
    /** Ours, and of those that were taken along with it. */
    lease: string;
    /** By the clock of LeaseWatch. */
    takenAt: number;
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
 * The right to make a delivery, held on its row by PostgreSQL's clock. Each claim has a lease of its own, and only what is
 * in hand is renewed: what was taken and is not known of here, since an answer of the database was lost, runs out. Of each
 * record only the oldest unfinished delivery may be taken, so what comes of it is stored before the next leaves; records do
 * not wait for each other. What came of it is written only where the lease is still the one that it was made under. Whoever
 * locks several rows does so in the order of their ids, or passes over what is locked.
 */
export class DeliveryLeases {
  readonly #database: DataSource;
  readonly #watch = new LeaseWatch();

  constructor(database: DataSource) {
    this.#database = database;
  }

  /** Triggers that have something to deliver. */
  async due(now: Date): Promise<string[]> {
    const rows = await this.#database.query<{ id: string }[]>(
      `SELECT t.id FROM triggers AS t JOIN trigger_health AS h ON h.trigger_id = t.id
       WHERE t.state = 'active' AND (h.rest_until IS NULL OR h.rest_until <= $1) AND EXISTS (
         SELECT 1 FROM trigger_deliveries AS one
         WHERE one.trigger_id = t.id AND one.status = 'WAITING' AND one.next_attempt_at <= $1
           AND (one.lease_until IS NULL OR one.lease_until < clock_timestamp()))`,
      [now],
    );
    return rows.map(({ id }) => id);
  }

  /** Takes deliveries that are due. @param places at most how many of each trigger */
  async claim(places: ReadonlyMap<string, number>, now: Date): Promise<ClaimedDelivery[]> {
    const takenAt = this.#watch.moment;
    const lease = randomUUID();
    const [rows] = await this.#database.query<[ClaimedDelivery[], number]>(claiming, [
      lease,
      [...places.keys()],
      [...places.values()],
      now,
      leaseSeconds,
      failuresUntilResting,
      maxTakenPerTrigger,
      fewRecords,
    ]);
    for (const delivery of rows) Object.assign(delivery, { lease, takenAt });
    return rows;
  }

  /** Passes over those that are being stored. @param held all that this process has in hand */
  async renew(held: ReadonlySet<ClaimedDelivery>): Promise<void> {
    const since = this.#watch.moment;
    if (held.size > 0) {
      await this.#database.query(
        `UPDATE trigger_deliveries SET lease_until = clock_timestamp() + make_interval(secs => $3)
         WHERE id = ANY($1) AND id IN (
           SELECT d.id FROM trigger_deliveries AS d JOIN unnest($1::bigint[], $2::uuid[]) AS held(id, lease) ON held.id = d.id
           WHERE d.id = ANY($1) AND d.lease_holder = held.lease AND d.status = 'WAITING' AND d.lease_until > clock_timestamp()
           FOR UPDATE OF d SKIP LOCKED)`,
        [...idsAndLeases([...held]), leaseSeconds],
      );
    }
    this.#watch.renewed(since);
  }

  /** Whether nobody else can have taken it meanwhile, however long this process stood still or missed the database. */
  surelyHeld({ takenAt }: ClaimedDelivery): boolean {
    return this.#watch.surelyHolds(takenAt);
  }

  /**
   * Stores what came of deliveries, and by the same statement how their endpoints do: whoever loses its answer, or dies
   * behind it, has not lost count. A success ends a row of failures, and has what waits for that endpoint tried at once.
   * @returns those whose lease was still ours; the others somebody else makes, and nothing was written
   */
  async finish(outcomes: ReadonlyMap<ClaimedDelivery, Outcome>): Promise<Stored> {
    const deliveries = [...outcomes.keys()];
    const all = [...outcomes.values()];
    const rows = await this.#database.query<StoredRow[]>(
      `WITH given AS (
         SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::integer[], $7::text[], $8::integer[],
           $9::text[], $10::text[], $11::boolean[], $12::boolean[], $13::boolean[])
           AS given(id, lease, status, at, next_attempt_at, http_status, answer, duration_ms, error_code, error_message, is_open, is_key_used_up, counts)
       ), held AS (
         SELECT d.id, d.lease_holder AS lease FROM trigger_deliveries AS d JOIN given ON given.id = d.id
         WHERE d.id = ANY($1) AND d.lease_holder = given.lease AND d.status = 'WAITING' ORDER BY d.id FOR UPDATE OF d
       ), stored AS (
         UPDATE trigger_deliveries AS d
         SET status = given.status, attempts = attempts + 1, first_attempt_at = coalesce(first_attempt_at, given.at),
             last_attempt_at = given.at, next_attempt_at = coalesce(given.next_attempt_at, d.next_attempt_at),
             http_status = given.http_status, answer = given.answer, duration_ms = given.duration_ms,
             error_code = given.error_code, error_message = given.error_message,
             finished_at = CASE WHEN given.status <> 'WAITING' THEN given.at END,
             open_since = CASE WHEN given.is_open THEN open_since END,
             action_round = action_round + CASE WHEN given.is_key_used_up THEN 1 ELSE 0 END,
             lease_holder = NULL, lease_until = NULL
         FROM held JOIN given USING (id, lease) WHERE d.id = held.id AND d.id = ANY($1)
         RETURNING d.id, held.lease, d.trigger_id, d.status = 'DELIVERED' AS was_taken, given.counts, given.at
       ), ${judgingEndpoints}
       SELECT stored.id, stored.lease, stored.trigger_id AS "triggerId", judged.failures AS "failuresInRow",
              judged.failing_since AS "failingSince", coalesce(judged.was_down, false) AS recovered
       FROM stored LEFT JOIN judged USING (trigger_id)`,
      [
        ...idsAndLeases(deliveries),
        all.map(({ status }) => status),
        all.map(({ at }) => at),
        all.map(({ nextAttemptAt }) => nextAttemptAt),
        all.map(({ httpStatus }) => httpStatus),
        all.map(({ answer }) => answer),
        all.map(({ durationMs }) => durationMs),
        all.map(({ error }) => error?.code ?? null),
        all.map(({ error }) => error?.message ?? null),
        all.map(({ isOpen }) => isOpen),
        all.map(({ isKeyUsedUp }) => isKeyUsedUp),
        // How an action does is for the limits of the upstream to heed.
        deliveries.map((delivery) => outcomes.get(delivery)!.error !== null && !delivery.action),
      ],
    );
    const stored = new Set(rows.map(({ id, lease }) => `${id}/${lease}`));
    return {
      deliveries: new Set(deliveries.filter(({ id, lease }) => stored.has(`${id}/${lease}`))),
      failing: new Map(
        rows.map(({ triggerId, failuresInRow, failingSince }) => [
          triggerId,
          { failuresInRow: failuresInRow ?? 0, failingSince },
        ]),
      ),
      hasRecovered: rows.some(({ recovered }) => recovered),
    };
  }

  /** For those that were not made after all. */
  async giveBack(deliveries: readonly ClaimedDelivery[]): Promise<void> {
    await this.#database.query(
      `UPDATE trigger_deliveries SET lease_holder = NULL, lease_until = NULL
       WHERE id = ANY($1) AND id IN (
         SELECT d.id FROM trigger_deliveries AS d JOIN unnest($1::bigint[], $2::uuid[]) AS given(id, lease) ON given.id = d.id
         WHERE d.id = ANY($1) AND d.lease_holder = given.lease ORDER BY d.id FOR UPDATE OF d)`,
      idsAndLeases(deliveries),
    );
  }
}

export interface Stored {
  deliveries: ReadonlySet<ClaimedDelivery>;
  /** How the endpoints of their triggers do since. */
  failing: ReadonlyMap<string, Failing>;
  /** Whether an endpoint of them was taken for down until now. */
  hasRecovered: boolean;
}

interface StoredRow {
  id: string;
  lease: string;
  triggerId: string;
  /** Null where nothing has changed. */
  failuresInRow: number | null;
  failingSince: Date | null;
  recovered: boolean;
}

function idsAndLeases(deliveries: readonly ClaimedDelivery[]): [string[], string[]] {
  return [deliveries.map(({ id }) => id), deliveries.map(({ lease }) => lease)];
}
