import type { DataSource, EntityManager } from 'typeorm';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { ActivityCounts, type HourCounts, type MinuteCount } from './activity-counts.ts';
import { activityKinds, hourMs, type ActivityKind } from './activity-kind.ts';
import { alertMessage, type Alert, type Alerts } from './alerts.ts';
import { callsAboveUsual } from './alert-rules.ts';

/** How long counts wait in memory, in milliseconds. */
const flushIntervalMs = 2_000;

/** Hours and alerts are kept this long. */
export const keptDays = 90;
/** Minutes of incidents are kept this long: longer than any window in which a burst is looked for. */
const incidentsKeptHours = 3;
const pruneIntervalMs = 60 * 60_000;
const pruneBatchSize = 5_000;

const column: Record<ActivityKind, string> = {
  calls: 'calls',
  errors: 'errors',
  rateLimited: 'rate_limited',
  refused: 'refused',
  refreshes: 'refreshes',
  refreshesFailed: 'refreshes_failed',
  refreshRacesLost: 'refresh_races_lost',
  macFailures: 'mac_failures',
};
const columns = activityKinds.map((kind) => column[kind]);

/**
 * Activity of connections, by hour. Counted in memory and stored every two seconds by one statement for all connections;
 * a process that is killed loses what it counted since. While the database is away counts stay in memory, up to a bound.
 * Should the answer of a commit get lost, its counts are stored twice: they are a measure, no bill.
 */
export class ActivityLog {
  readonly #deps: {
    database: DataSource;
    alerts: Alerts;
    clock: Clock;
    logger: Logger;
    onAlert: (alert: Alert) => void;
  };
  #pending = new ActivityCounts();
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();
  #failing = false;
  #prunedAt = -Infinity;
  #closed = false;

  constructor(deps: {
    database: DataSource;
    alerts: Alerts;
    clock: Clock;
    logger: Logger;
    /** Told by the one instance that raised it, once it is stored. */
    onAlert: (alert: Alert) => void;
  }) {
    this.#deps = deps;
  }

  /** Counts one now. A function of its own, to be handed to whoever counts. */
  readonly count = (connectionId: number, kind: ActivityKind): void => {
    this.#pending.add(connectionId, kind, this.#deps.clock.now());
    this.#schedule();
  };

  /** Hours with counts, of any of the connections, from `since` on. */
  hours(
    connectionIds: readonly number[],
    since: Date,
  ): Promise<({ connectionId: number; hour: Date } & Record<ActivityKind, number>)[]> {
    const counts = activityKinds.map((kind) => `${column[kind]} AS "${kind}"`).join(', ');
    return this.#deps.database.query(
      `SELECT connection_id AS "connectionId", hour, ${counts} FROM connection_activity
       WHERE connection_id = ANY($1) AND hour >= $2`,
      [connectionIds, since],
    );
  }

  /** Raises an alert that somebody else has judged, unless the same was told within the last hour. */
  async raise(alert: Omit<Alert, 'id' | 'raisedAt'>): Promise<void> {
    const raised = await this.#deps.alerts.tell(alert, new Date(this.#deps.clock.now()));
    if (raised) this.#told(raised);
  }

  /** Stores all that was counted until now. Never rejects: what can't be stored now stays for the next time. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#flush());
    return this.#flushing;
  }

  /** Stores the rest. To be called when nothing counts any more and the database is still there. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.flush();
  }

  #told(alert: Alert): void {
    const { kind, connectionId, count, threshold, subject } = alert;
    const about = subject && { trigger: subject };
    this.#deps.logger.warn({ alert: kind, connectionId, ...about, count, threshold }, alertMessage(alert));
    this.#deps.onAlert(alert);
  }

  #schedule(): void {
    if (this.#timer || this.#closed) return;
    this.#timer = setTimeout(() => {
      void this.flush().then(() => {
        this.#timer = undefined;
        if (!this.#pending.isEmpty) this.#schedule();
      });
    }, flushIntervalMs);
  }

  async #flush(): Promise<void> {
    const counted = this.#pending;
    if (counted.isEmpty) return;
    const { database, alerts, clock, logger } = this.#deps;
    this.#pending = new ActivityCounts();
    const now = clock.now();
    try {
      const stored = { hours: counted.hours(), minutes: counted.minutes() };
      const raised = await database.transaction(async (sql) => {
        await storeHours(sql, stored.hours);
        if (stored.minutes.length > 0) await storeMinutes(sql, stored.minutes);
        return alerts.raise(sql, stored, new Date(now));
      });
      for (const alert of raised) this.#told(alert);
      if (counted.dropped > 0)
        logger.warn({ dropped: counted.dropped }, 'activity was not counted for want of room');
      if (this.#failing) logger.info('activity of connections is stored again');
      this.#failing = false;
    } catch (error) {
      this.#pending.addAll(counted);
      if (!this.#failing) logger.warn({ err: error }, 'activity of connections can not be stored for now');
      this.#failing = true;
      return;
    }
    await this.#pruneSometimes(now);
  }

  async #pruneSometimes(now: number): Promise<void> {
    if (now - this.#prunedAt < pruneIntervalMs) return;
    this.#prunedAt = now;
    const ago = (ms: number): Date => new Date(now - ms);
    try {
      await this.#prune('connection_activity', 'hour', ago(keptDays * 24 * hourMs));
      await this.#prune('connection_alerts', 'raised_at', ago(keptDays * 24 * hourMs));
      await this.#prune('connection_incidents', 'minute', ago(incidentsKeptHours * hourMs));
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'old activity could not be deleted; it will be tried again');
    }
  }

  async #prune(table: string, time: string, before: Date): Promise<void> {
    for (let deleted = pruneBatchSize; deleted === pruneBatchSize && !this.#closed;) {
      [, deleted] = await this.#deps.database.query<[unknown[], number]>(
        `DELETE FROM ${table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM ${table} WHERE ${time} < $1 LIMIT $2))`,
        [before, pruneBatchSize],
      );
    }
  }
}

/**
 * Rows are written in one order, so that instances which do so at the same time wait for each other instead of for
 * themselves. A new hour settles from how many calls on it is unusual. What was counted of a connection that is deleted
 * by now is left out.
 */
async function storeHours(sql: EntityManager, hours: readonly HourCounts[]): Promise<void> {
  const { factor, minCalls, usualDays, historyDays } = callsAboveUsual;
  await sql.query(
    `INSERT INTO connection_activity AS known (connection_id, hour, ${columns.join(', ')}, calls_limit)
     SELECT counted.connection_id, counted.hour, ${columns.map((name) => `counted.${name}`).join(', ')},
       CASE WHEN present.hour IS NULL THEN (
         SELECT greatest($1, $2 * max(calls)) FROM connection_activity AS past
         WHERE past.connection_id = counted.connection_id AND past.hour < counted.hour
           AND past.hour >= counted.hour - make_interval(days => $3)
         HAVING EXISTS (SELECT 1 FROM connection_activity AS old WHERE old.connection_id = counted.connection_id
           AND old.hour <= counted.hour - make_interval(days => $4))
       ) END
     FROM unnest($5::int[], $6::timestamptz[], ${columns.map((_, index) => `$${index + 7}::int[]`).join(', ')})
       AS counted(connection_id, hour, ${columns.join(', ')})
     JOIN connections ON connections.id = counted.connection_id
     LEFT JOIN connection_activity AS present ON present.connection_id = counted.connection_id AND present.hour = counted.hour
     ORDER BY counted.connection_id, counted.hour
     ON CONFLICT (connection_id, hour) DO UPDATE SET ${columns.map((name) => `${name} = known.${name} + excluded.${name}`).join(', ')}`,
    [
      minCalls,
      factor,
      usualDays,
      historyDays,
      hours.map(({ connectionId }) => connectionId),
      hours.map(({ hour }) => new Date(hour)),
      ...activityKinds.map((kind) => hours.map(({ counts }) => counts[kind])),
    ],
  );
}

async function storeMinutes(sql: EntityManager, minutes: readonly MinuteCount[]): Promise<void> {
  await sql.query(
    `INSERT INTO connection_incidents AS known (connection_id, kind, minute, count)
     SELECT counted.* FROM unnest($1::int[], $2::text[], $3::timestamptz[], $4::int[]) AS counted(connection_id, kind, minute, count)
     JOIN connections ON connections.id = counted.connection_id
     ORDER BY counted.connection_id, counted.kind, counted.minute
     ON CONFLICT (connection_id, kind, minute) DO UPDATE SET count = known.count + excluded.count`,
    [
      minutes.map(({ connectionId }) => connectionId),
      minutes.map(({ kind }) => kind),
      minutes.map(({ minute }) => new Date(minute)),
      minutes.map(({ count }) => count),
    ],
  );
}
