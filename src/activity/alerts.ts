import type { DataSource, EntityManager } from 'typeorm';
import type { HourCounts, MinuteCount } from './activity-counts.ts';
import { alertTexts, burstRules, quietMinutes, type AlertKind } from './alert-rules.ts';
import { hourMs } from './activity-kind.ts';

export interface Alert {
  /** Rises with time. */
  id: number;
  connectionId: number;
  kind: AlertKind;
  /** The time in which it was counted. */
  since: Date;
  until: Date;
  raisedAt: Date;
  /** How many there were when it was raised, and how many it takes. */
  count: number;
  threshold: number;
  /** Id of the trigger that it is about; empty when it is about the connection as a whole. */
  subject: string;
}

const columns = `id::int, connection_id AS "connectionId", kind, since, until, raised_at AS "raisedAt", count, threshold, subject`;

/** What was unusual. Raised in the transaction that stores the counts, so what can be read has been judged. */
export class Alerts {
  readonly #database: DataSource;

  constructor(database: DataSource) {
    this.#database = database;
  }

  /**
   * Looks at what has just been stored, together with what other instances stored. Once per connection, kind and hour,
   * by the table's own constraint.
   */
  async raise(
    sql: EntityManager,
    stored: { hours: readonly HourCounts[]; minutes: readonly MinuteCount[] },
    now: Date,
  ): Promise<Alert[]> {
    const bursts = stored.minutes.length > 0 ? await this.#raiseBursts(sql, stored.minutes, now) : [];
    return [...bursts, ...(await this.#raiseCalls(sql, stored.hours, now))];
  }

  /** Newest first. @param before only alerts that came before this one */
  list(connectionIds: readonly number[], before: number | null, limit: number): Promise<Alert[]> {
    return this.#database.query(
      `SELECT ${columns} FROM connection_alerts
       WHERE connection_id = ANY($1) AND ($2::bigint IS NULL OR id < $2) ORDER BY connection_alerts.id DESC LIMIT $3`,
      [connectionIds, before, limit],
    );
  }

  /** Those raised since then, newest first, at most `limit` of each connection. */
  since(connectionIds: readonly number[], since: Date, limit: number): Promise<Alert[]> {
    return this.#database.query(
      `SELECT alert.* FROM unnest($1::int[]) AS wanted(id), LATERAL (
         SELECT ${columns} FROM connection_alerts
         WHERE connection_id = wanted.id AND raised_at >= $2 ORDER BY connection_alerts.id DESC LIMIT $3
       ) AS alert`,
      [connectionIds, since, limit],
    );
  }

  /** One that somebody else has judged. @returns null when the same was told within the last hour */
  async tell(alert: Omit<Alert, 'id' | 'raisedAt'>, now: Date): Promise<Alert | null> {
    const { connectionId, kind, since, until, count, threshold, subject } = alert;
    const [raised] = await this.#database.query<Alert[]>(
      `INSERT INTO connection_alerts (connection_id, kind, hour, since, until, raised_at, count, threshold, subject)
       SELECT $1, $2, to_timestamp(floor(extract(epoch FROM $4::timestamptz) / 3600) * 3600), $3, $4, $5, $6, $7, $9
       WHERE NOT EXISTS (SELECT 1 FROM connection_alerts WHERE connection_id = $1 AND kind = $2 AND subject = $9
         AND raised_at > $5::timestamptz - make_interval(mins => $8))
       ON CONFLICT (connection_id, kind, subject, hour) DO NOTHING RETURNING ${columns}`,
      [connectionId, kind, since, until, now, count, threshold, quietMinutes, subject],
    );
    return raised ?? null;
  }

  /**
   * Two instances may each hold a part of a burst in transactions that do not see each other. So each waits here for
   * the ones before it, and whoever comes last sees all of it.
   */
  async #raiseBursts(sql: EntityManager, minutes: readonly MinuteCount[], now: Date): Promise<Alert[]> {
    await sql.query(`SELECT pg_advisory_xact_lock(hashtext('activity:bursts'))`);
    return sql.query<Alert[]>(
      `INSERT INTO connection_alerts (connection_id, kind, hour, since, until, raised_at, count, threshold)
       SELECT DISTINCT ON (connection_id, kind) connection_id, kind,
              to_timestamp(floor(extract(epoch FROM minute) / 3600) * 3600), since, minute + interval '1 minute', $7, count, threshold
       FROM (
         SELECT last.connection_id, rule.kind, last.minute, min(one.minute) AS since, sum(one.count) AS count, rule.threshold
         FROM unnest($1::text[], $2::text[], $3::int[], $4::int[]) AS rule(kind, incident, threshold, minutes)
         JOIN connection_incidents AS last ON last.kind = rule.incident
         JOIN connection_incidents AS one ON one.connection_id = last.connection_id AND one.kind = last.kind
          AND one.minute > last.minute - make_interval(mins => rule.minutes) AND one.minute <= last.minute
         WHERE last.connection_id = ANY($5) AND last.minute >= $6
           AND NOT EXISTS (
             SELECT 1 FROM connection_alerts AS told WHERE told.connection_id = last.connection_id AND told.kind = rule.kind
               AND told.until > last.minute - make_interval(mins => $8) AND told.since < last.minute + make_interval(mins => $8))
         GROUP BY last.connection_id, rule.kind, last.minute, rule.threshold
         HAVING sum(one.count) >= rule.threshold
       ) AS burst
       ORDER BY connection_id, kind, minute
       ON CONFLICT (connection_id, kind, subject, hour) DO NOTHING
       RETURNING ${columns}`,
      [
        burstRules.map(({ kind }) => kind),
        burstRules.map(({ incident }) => incident),
        burstRules.map(({ count }) => count),
        burstRules.map(({ windowMinutes }) => windowMinutes),
        [...new Set(minutes.map(({ connectionId }) => connectionId))],
        new Date(Math.min(...minutes.map(({ minute }) => minute))),
        now,
        quietMinutes,
      ],
    );
  }

  #raiseCalls(sql: EntityManager, hours: readonly HourCounts[], now: Date): Promise<Alert[]> {
    return sql.query<Alert[]>(
      `INSERT INTO connection_alerts (connection_id, kind, hour, since, until, raised_at, count, threshold)
       SELECT connection_id, 'CALLS_ABOVE_USUAL', hour, hour, hour + $4 * interval '1 millisecond', $3, calls, calls_limit
       FROM connection_activity AS busy JOIN unnest($1::int[], $2::timestamptz[]) AS stored(connection_id, hour) USING (connection_id, hour)
       WHERE calls >= calls_limit AND NOT EXISTS (
         SELECT 1 FROM connection_alerts AS told
         WHERE told.connection_id = busy.connection_id AND told.kind = 'CALLS_ABOVE_USUAL' AND told.hour = busy.hour)
       ON CONFLICT (connection_id, kind, subject, hour) DO NOTHING
       RETURNING ${columns}`,
      [hours.map(({ connectionId }) => connectionId), hours.map(({ hour }) => new Date(hour)), now, hourMs],
    );
  }
}

/** An alert in words, with what to do next. */
export function alertMessage({ connectionId, kind, count, threshold, since, until, subject }: Alert): string {
  const { what, advice } = alertTexts[kind];
  const of = subject && ` (trigger ${subject})`;
  const minutes = Math.round((until.getTime() - since.getTime()) / 60_000);
  return `Connection ${connectionId}: ${what}${of}, ${count} within ${minutes} min where ${threshold} are too many. ${advice}`;
}
