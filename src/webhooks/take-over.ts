import type { ChangeLog } from '../changes/change-log.ts';
import type { FeedRow } from '../changes/feed.ts';
import type { Sql } from '../database/sql.ts';
import { logLoss } from './log-gaps.ts';
import type { Webhook } from './webhook.ts';

/** A successor that records, and what it takes over from. */
export interface Succession {
  /** As it was when it had been drained for the last time. */
  old: Webhook;
  successor: Webhook;
  /** The successor's first payload that was not recorded by then: the old one can't have told it. */
  until: number;
  /** Where nobody recorded between two moments. */
  gap: { since: Date; until: Date } | null;
}

/**
 * Ends the old webhook and lets its successor append in its place. Locks are taken in the order that webhook.ts tells.
 * @returns false when nothing was done: another instance was faster, the old one was drained again, or one of them was
 *   given up meanwhile
 */
export async function takeOver(
  sql: Sql,
  log: ChangeLog,
  { old, successor, until, gap }: Succession,
): Promise<boolean> {
  const [feed] = await sql.query<FeedRow[]>('SELECT * FROM change_feeds WHERE id = $1 FOR UPDATE', [
    old.feedId,
  ]);
  const fit = await sql.query<unknown[]>(
    `SELECT 1 FROM webhooks
     WHERE id = $1 AND state = 'active' AND next_payload = $2 OR id = $3 AND state = 'ready'
     ORDER BY id FOR UPDATE`,
    [old.id, old.nextPayload, successor.id],
  );
  if (!feed || fit.length !== 2) return false;
  await sql.query(
    `UPDATE webhooks SET state = 'ending', ended_at = clock_timestamp(), check_lease_until = NULL, drain_holder = NULL,
            drain_lease_until = NULL
     WHERE id = $1`,
    [old.id],
  );
  await sql.query(
    `UPDATE webhooks AS successor
     SET state = 'active', drain_wanted_at = clock_timestamp(), behind_since = coalesce(successor.behind_since, clock_timestamp()),
         last_drained_at = before.last_drained_at,
         overlap = successor.overlap || jsonb_build_object('until', $3::integer, 'transaction', before.last_transaction)
     FROM webhooks AS before
     WHERE successor.id = $1 AND before.id = $2`,
    [successor.id, old.id, until],
  );
  const start = { generation: successor.generation, payload: 0, ordinal: 0 };
  if (gap) await logLoss(sql, log, feed.id, start, gap);
  await sql.query('UPDATE change_feeds SET generation = $2 WHERE id = $1', [feed.id, successor.generation]);
  return true;
}
