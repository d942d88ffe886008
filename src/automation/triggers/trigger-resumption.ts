import type { DataSource } from 'typeorm';
import type { Operation } from '../../calendly/operation.ts';
import type { ChangeLog } from '../../changes/change-log.ts';
import type { Feed } from '../../changes/feed.ts';
import type { Clock } from '../../clock.ts';
import { insertDeliveries } from './delivery-queue.ts';
import { lossEvent } from './event.ts';
import type { TriggerHealth } from './trigger-health.ts';
import type { PauseReason, Trigger } from './trigger.ts';

export interface TriggerResumptionDeps {
  database: DataSource;
  log: ChangeLog;
  clock: Clock;
  health: TriggerHealth;
  /** The log of a base, with a living webhook. */
  ensureFeed: (connectionId: number, baseId: string, operation: Operation) => Promise<Feed>;
}

/** Sets triggers going again, by hand or by itself. */
export class TriggerResumption {
  readonly #deps: TriggerResumptionDeps;

  constructor(deps: TriggerResumptionDeps) {
    this.#deps = deps;
  }

  /**
   * @param ended why it must still be paused once the upstream has answered, which may take a minute; null for any reason,
   *   or none
   * @returns whether it runs by it
   * @throws AppError what making the base's webhook throws
   */
  async resume(
    trigger: Trigger,
    operation: Operation,
    ended: readonly PauseReason[] | null,
  ): Promise<boolean> {
    const { database, log, clock, health } = this.#deps;
    const feed = await this.#deps.ensureFeed(trigger.connectionId, trigger.baseId, operation);
    const head = feed.id === trigger.feedId ? null : await log.head(feed.id);
    const now = new Date(clock.now());
    return database.transaction(async (sql) => {
      const [was] = await sql.query<Pick<Trigger, 'state' | 'pausedBecause'>[]>(
        'SELECT state, paused_because AS "pausedBecause" FROM triggers WHERE id = $1 FOR UPDATE',
        [trigger.id],
      );
      if (!was || (ended && !(was.pausedBecause && ended.includes(was.pausedBecause)))) return false;
      await sql.query(
        // Checked a while from now: before it is paused again it tells what was lost.
        `UPDATE triggers SET state = 'active', paused_because = NULL, problem = NULL, updated_at = $2, checked_at = clock_timestamp()
         WHERE id = $1`,
        [trigger.id, now],
      );
      if (was.state === 'paused') await health.beginAnew(sql, trigger.id, now);
      else await health.tryNow(sql, trigger.id, now);
      if (head === null) return true;
      // Another OAuth client has another log: of what happened before its head it knows nothing.
      await sql.query(
        'UPDATE triggers SET feed_id = $2, generation = $3, payload = $4, ordinal = $5 WHERE id = $1',
        [trigger.id, feed.id, head.generation, head.payload, head.ordinal],
      );
      const loss = { reason: 'webhook_gone' as const, since: null, until: now.toISOString() };
      await insertDeliveries(
        sql,
        trigger.id,
        [{ ...lossEvent(loss, head, now, { trigger, feedKey: feed.key }), stopped: trigger.action && {} }],
        now,
      );
      return true;
    });
  }
}
