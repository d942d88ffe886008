import type { EntityManager } from 'typeorm';
import type { ChangeLog } from '../changes/change-log.ts';
import type { FeedRow } from '../changes/feed.ts';
import type { Sql } from '../database/sql.ts';
import type { Position } from '../changes/position.ts';

/** The first webhook of a feed: before it there is nothing to be had, which a cursor from another life must learn. */
export async function beginLog(
  sql: EntityManager,
  feedId: number,
  { generation, payload, ordinal }: Position,
): Promise<void> {
  await sql.query(
    `UPDATE change_feeds SET pruned_generation = $2, pruned_payload = $3, pruned_ordinal = $4, pruned_until = clock_timestamp() WHERE id = $1`,
    [feedId, generation, payload, ordinal],
  );
}

/** Between the last moment that the former webhook is known to have covered, and now, anything may have happened. */
export async function logGap(
  sql: EntityManager,
  log: ChangeLog,
  feed: FeedRow,
  position: Position,
  until: Date,
): Promise<void> {
  const [covered] = await sql.query<{ until: Date }[]>(
    // What was never drained covers nothing, however often it was seen alive.
    'SELECT least(coalesce(last_drained_at, created_at), coalesce(checked_at, created_at)) AS until FROM webhooks WHERE feed_id = $1 AND generation = $2',
    [feed.id, feed.generation],
  );
  await logLoss(sql, log, feed.id, position, { since: covered?.until ?? null, until });
}

/** For a while no webhook recorded. */
export async function logLoss(
  sql: Sql,
  log: ChangeLog,
  feedId: number,
  position: Position,
  { since, until }: { since: Date | null; until: Date },
): Promise<void> {
  await log.append(sql, feedId, [
    {
      kind: 'lost',
      position,
      occurredAt: until,
      source: 'system',
      actor: null,
      transaction: null,
      loss: {
        reason: 'webhook_gone',
        since: since?.toISOString() ?? null,
        until: until.toISOString(),
      },
    },
  ]);
}
