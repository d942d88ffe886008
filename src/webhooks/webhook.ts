import type { Sql } from '../changes/feed.ts';

/**
 * creating → active | failed; active → lost (gone or dead upstream) | deleted (by us); lost → deleted, once a
 * replacement lives. Only an active webhook appends to its feed, and a feed has one at most.
 */
export type WebhookState = 'creating' | 'active' | 'lost' | 'failed' | 'deleted';

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
  upstreamId: string | null;
  /** Null when payloads are only pulled. */
  notificationUrl: string | null;
  state: WebhookState;
  problem: string | null;
  nextPayload: number;
  expiresAt: Date | null;
  checkedAt: Date | null;
  notificationResult: NotificationResult | null;
  lastDrainedAt: Date | null;
  lastPingAt: Date | null;
  lastPayloadAt: Date | null;
  createdAt: Date;
}

/** Selects webhooks as `Webhook`; goes before WHERE, with `w` for the webhook and `f` for its feed. */
export const selectWebhooks = `
  SELECT w.id, w.feed_id AS "feedId", f.client_id AS "clientId", f.base_id AS "baseId", w.generation, w.connection_id AS "connectionId",
         w.upstream_id AS "upstreamId", w.notification_url AS "notificationUrl", w.state, w.problem, w.next_payload AS "nextPayload",
         w.expires_at AS "expiresAt", w.checked_at AS "checkedAt", w.notification_result AS "notificationResult",
         w.last_drained_at AS "lastDrainedAt", w.last_ping_at AS "lastPingAt", w.last_payload_at AS "lastPayloadAt",
         w.created_at AS "createdAt"
  FROM webhooks AS w JOIN change_feeds AS f ON f.id = w.feed_id`;

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

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function isRouteId(text: string): boolean {
  return uuid.test(text);
}
