import { maxTakenPerTrigger } from './delivery-lanes.ts';

/**
 * Of a trigger with this many waiting records, or fewer, the first delivery of each is looked up, so that those behind it
 * cost nothing, however many there are. Of one with more, which is sure to have enough that may be taken, deliveries are
 * gone through in the order in which they are due.
 */
export const fewRecords = 2 * maxTakenPerTrigger;

/** Of a delivery named `one`, at the time $4. */
const isDue = `one.status = 'WAITING' AND one.next_attempt_at <= $4
               AND (one.lease_until IS NULL OR one.lease_until < clock_timestamp())`;

/**
 * Takes, by the lease $1, deliveries of the triggers $2, at most $3 of each and $7 over all instances, or one where $6
 * failures in a row have come, that are due at $4 and the oldest of their record, with leases of $5 seconds; $8 is
 * `fewRecords`. PostgreSQL takes it that many are chosen, and would read the whole table for them: hence the ANY at the end.
 *
 * It is planned each time, though that takes longer than to carry it out: a plan that is made while little waits, and kept,
 * reads all that waits once for each delivery when there is more.
 */
export const claiming = `
  WITH due AS (
    SELECT chosen.id, t.connection_id, t.endpoint_url, t.action, t.updated_at, s.secret, s.previous_secret, s.previous_until
    FROM unnest($2::uuid[], $3::integer[]) AS offer(trigger_id, places)
    JOIN triggers AS t ON t.id = offer.trigger_id
    JOIN trigger_health AS h ON h.trigger_id = t.id
    LEFT JOIN trigger_secrets AS s ON s.trigger_id = t.id
    CROSS JOIN LATERAL (
      SELECT greatest(0, least(offer.places, CASE WHEN h.failures_in_row >= $6 THEN 1 ELSE $7 END - count(*))) AS places
      FROM trigger_deliveries AS one
      WHERE one.trigger_id = t.id AND one.status = 'WAITING' AND one.lease_until > clock_timestamp()
    ) AS free
    CROSS JOIN LATERAL (
      WITH RECURSIVE first_of_record AS (
        (SELECT record_id, id, 1 AS place FROM trigger_deliveries
         WHERE trigger_id = t.id AND status = 'WAITING' ORDER BY record_id, id LIMIT 1)
        UNION ALL
        SELECT next.record_id, next.id, last.place + 1
        FROM first_of_record AS last CROSS JOIN LATERAL (
          SELECT record_id, id FROM trigger_deliveries
          WHERE trigger_id = t.id AND status = 'WAITING' AND record_id > last.record_id ORDER BY record_id, id LIMIT 1
        ) AS next
        WHERE last.place <= $8
      )
      SELECT array_agg(id) AS first_ids, count(*) > $8 AS are_many FROM first_of_record
    ) AS records
    CROSS JOIN LATERAL (
      SELECT id FROM (
        SELECT one.id FROM trigger_deliveries AS one
        WHERE NOT records.are_many AND one.id = ANY (records.first_ids) AND ${isDue}
          AND NOT EXISTS (
            SELECT 1 FROM trigger_deliveries AS other
            WHERE other.trigger_id = t.id AND other.record_id = one.record_id AND other.status = 'WAITING'
              AND other.id <> one.id AND other.lease_until > clock_timestamp())
        ORDER BY one.next_attempt_at, one.id LIMIT free.places FOR UPDATE OF one SKIP LOCKED
      ) AS of_few
      UNION ALL
      SELECT id FROM (
        SELECT one.id FROM trigger_deliveries AS one
        WHERE records.are_many AND one.trigger_id = t.id AND ${isDue}
          AND NOT EXISTS (
            SELECT 1 FROM trigger_deliveries AS other
            WHERE other.trigger_id = t.id AND other.record_id = one.record_id AND other.status = 'WAITING'
              AND other.id <> one.id AND (other.id < one.id OR other.lease_until > clock_timestamp()))
        ORDER BY one.next_attempt_at, one.id LIMIT free.places FOR UPDATE OF one SKIP LOCKED
      ) AS of_many
    ) AS chosen
    WHERE t.state = 'active' AND (h.rest_until IS NULL OR h.rest_until <= $4)
  )
  UPDATE trigger_deliveries AS d
  SET lease_holder = $1, lease_until = clock_timestamp() + make_interval(secs => $5)
  FROM due WHERE d.id = due.id AND d.id = ANY (ARRAY(SELECT id FROM due))
  RETURNING d.id, d.trigger_id AS "triggerId", d.event_id AS "eventId", d.body, d.chain, d.attempts - d.attempts_before AS "failures",
    d.first_attempt_at AS "firstAttemptAt", due.endpoint_url AS "endpointUrl", due.action, due.connection_id AS "connectionId",
    due.updated_at AS "asOf",
    due.secret, due.previous_secret AS "previousSecret", due.previous_until AS "previousUntil",
    d.action_round AS "actionRound", d.open_since AS "openSince"`;
