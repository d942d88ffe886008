import type { Sql } from '../database/sql.ts';
import type { Overlap } from './overlap.ts';
import type { DataType } from './specification.ts';

/**
 * creating → active | failed; active → lost (gone or dead upstream, or nobody may read its base) | ending (replaced, or
 * no longer used) | deleted (by us); lost → active, when its base can be read again and it still records, or deleted, once
 * a replacement lives; ending → deleted, once the upstream has deleted it. The successor of an active webhook: preparing →
 * ready | failed; ready → active | ending.
 *
 * Only an active webhook appends to its feed, and a feed has one at most, and one successor.
 *
 * Locks are taken in one order, so that no two transactions wait for each other: the feed's row, then rows of webhooks by
 * id, and after them at most the row of a connection. A statement that changes several of them locks them by id first.
 */
export type WebhookState =
  'creating' | 'active' | 'lost' | 'failed' | 'deleted' | 'preparing' | 'ready' | 'ending';

/** How the upstream's last ping to us went, as it tells it. */
export interface NotificationResult {
  success: boolean;
  message: string | null;
  /** 0 for the first try. */
  retryNumber: number | null;
  willBeRetried: boolean | null;
  /** ISO 8601. */
  completedAt: string | null;
}

/** A subscription that we hold upstream. Its MAC secret is not part of it. */
export interface Webhook {
  /** Our own random id, part of the notification URL. */
  id: string;
  feedId: number;
  clientId: string;
  baseId: string;
  generation: number;
  /** Whose token its calls use; null when that connection was deleted. */
  connectionId: number | null;
  /** As in `ConnectionState`; null when that connection was deleted. */
  connectionState: string | null;
  upstreamId: string | null;
  /** Null when payloads are only pulled. */
  notificationUrl: string | null;
  state: WebhookState;
  /** What it was asked to tell of. */
  dataTypes: DataType[];
  problem: string | null;
  nextPayload: number;
  expiresAt: Date | null;
  checkedAt: Date | null;
  notificationResult: NotificationResult | null;
  lastDrainedAt: Date | null;
  lastPingAt: Date | null;
  lastPayloadAt: Date | null;
  /** Since when something is known to wait upstream; null when nothing is. */
  behindSince: Date | null;
  /** Drains in a row that failed. */
  drainFailures: number;
  /** Of a successor: when it was known to record. */
  readyAt: Date | null;
  overlap: Overlap | null;
  /** Why it is to be replaced while it lives, and why that could not be done so far. */
  replacementReason: ReplacementReason | null;
  replacementProblem: string | null;
  /** How many replacements in a row, up to the one that made it, were of a webhook that was not old. */
  quickReplacements: number;
  createdAt: Date;
}

/**
 * secret_unreadable: its pings can't be checked. url_outdated: we are no longer reached there. narrow: the grant allows to
 * be told more.
 */
export type ReplacementReason = 'secret_unreadable' | 'url_outdated' | 'narrow';

/** Selects webhooks as `Webhook`; goes before WHERE, with `w` for the webhook and `f` for its feed. */
export const selectWebhooks = `
  SELECT w.id, w.feed_id AS "feedId", f.client_id AS "clientId", f.base_id AS "baseId", w.generation, w.connection_id AS "connectionId",
         c.state AS "connectionState", w.upstream_id AS "upstreamId", w.notification_url AS "notificationUrl", w.state, w.data_types AS "dataTypes", w.problem, w.next_payload AS "nextPayload",
         w.expires_at AS "expiresAt", w.checked_at AS "checkedAt", w.notification_result AS "notificationResult",
         w.last_drained_at AS "lastDrainedAt", w.last_ping_at AS "lastPingAt", w.last_payload_at AS "lastPayloadAt",
         w.behind_since AS "behindSince", w.drain_failures AS "drainFailures", w.ready_at AS "readyAt", w.overlap,
         w.replacement_reason AS "replacementReason", w.replacement_problem AS "replacementProblem",
         w.quick_replacements AS "quickReplacements", w.created_at AS "createdAt"
  FROM webhooks AS w JOIN change_feeds AS f ON f.id = w.feed_id LEFT JOIN connections AS c ON c.id = w.connection_id`;

export async function findWebhook(sql: Sql, id: string): Promise<Webhook | null> {
  const [webhook] = await sql.query<Webhook[]>(`${selectWebhooks} WHERE w.id = $1`, [id]);
  return webhook ?? null;
}

/** The webhook that is being created or is active, of which there is one at most. */
export async function findLivingWebhook(sql: Sql, clientId: string, baseId: string): Promise<Webhook | null> {
  const [webhook] = await sql.query<Webhook[]>(
    `${selectWebhooks} WHERE f.client_id = $1 AND f.base_id = $2 AND w.state IN ('creating', 'active')`,
    [clientId, baseId],
  );
  return webhook ?? null;
}

/** What is to take the place of a feed's active webhook. */
export async function findSuccessor(sql: Sql, feedId: number): Promise<Webhook | null> {
  const [webhook] = await sql.query<Webhook[]>(
    `${selectWebhooks} WHERE w.feed_id = $1 AND w.state IN ('preparing', 'ready')`,
    [feedId],
  );
  return webhook ?? null;
}

/** What was to take the place of a feed's webhook goes with it. */
export async function endSuccessor(sql: Sql, feedId: number): Promise<void> {
  await sql.query(
    `UPDATE webhooks SET state = CASE state WHEN 'ready' THEN 'ending' ELSE 'failed' END, ended_at = clock_timestamp()
     WHERE feed_id = $1 AND state IN ('preparing', 'ready')`,
    [feedId],
  );
}

/** Before a connection is deleted: of its webhooks, those that nobody took over are left without one. */
export async function leaveConnection(sql: Sql, connectionId: number): Promise<void> {
  await sql.query(
    `UPDATE webhooks SET connection_id = NULL
     WHERE id IN (SELECT id FROM webhooks WHERE connection_id = $1 ORDER BY id FOR UPDATE)`,
    [connectionId],
  );
}
