import type { DataSource } from 'typeorm';
import type { CalendlyApi } from '../calendly/api.ts';
import type { WireWebhook } from '../calendly/wire.ts';
import { notificationUrlPrefix, routeIdIn, type Addresses } from './notification-url.ts';
import { isUuid } from '../uuid.ts';

/** The life that the upstream gives a webhook from its creation, and again whenever somebody pulls its payloads. */
const lifeSeconds = 7 * 86_400;

/** How much of it may lie between our claim and the upstream's creation, clocks that differ included. */
const toleranceSeconds = 180;

/** A webhook that lives is pulled within this, and so no longer has the end that its creation gave it. */
const unpulledSeconds = 1_200;

/**
 * Deletes webhooks that are ours but none of our living ones: those that ping this server, those that we have a dead row
 * of, whatever they ping, and those that ping nobody but were created when a create call of ours lost its answer.
 */
export async function removeLeftovers(
  api: CalendlyApi,
  { id: feedId, baseId }: { id: number; baseId: string },
  deps: { database: DataSource; addresses: Addresses },
): Promise<number> {
  const prefix = notificationUrlPrefix(deps.addresses.publicUrl);
  const held = (await api.listWebhooks(baseId)).map((webhook) => {
    const routeId = routeIdIn(webhook.notificationUrl ?? '');
    return {
      webhook,
      routeId: routeId !== null && isUuid(routeId) ? routeId : null,
      isHere: webhook.notificationUrl?.startsWith(prefix) ?? false,
    };
  });
  const rows = await deps.database.query<{ id: string; upstreamId: string | null; lives: boolean }[]>(
    `SELECT id, upstream_id AS "upstreamId", state IN ('creating', 'active', 'preparing', 'ready') AS lives
     FROM webhooks WHERE id = ANY($1) OR upstream_id = ANY($2)`,
    [held.flatMap(({ routeId }) => routeId ?? []), held.map(({ webhook }) => webhook.id)],
  );
  let removed = 0;
  for (const { webhook, routeId, isHere } of held) {
    const ours = rows.filter((row) => row.id === routeId || row.upstreamId === webhook.id);
    const isLeft =
      ours.length > 0
        ? ours.every(({ lives }) => !lives)
        : isHere
          ? routeId !== null
          : await isUnanswered(deps.database, feedId, webhook);
    if (!isLeft) continue;
    await api.deleteWebhook(baseId, webhook.id);
    removed += 1;
  }
  return removed;
}

/**
 * What is only pulled carries no route id. But it tells when it was created, as long as nobody has pulled it; what
 * another server of the same OAuth client pulls is never mistaken for ours.
 */
async function isUnanswered(database: DataSource, feedId: number, webhook: WireWebhook): Promise<boolean> {
  if (webhook.notificationUrl || !webhook.expirationTime) return false;
  const claims = await database.query<unknown[]>(
    `SELECT 1 FROM webhooks
     WHERE feed_id = $1 AND state = 'failed' AND notification_url IS NULL AND upstream_id IS NULL
       AND abs(extract(epoch FROM $2::timestamptz - created_at) - $3) < $4
       AND created_at < clock_timestamp() - make_interval(secs => $5) LIMIT 1`,
    [feedId, webhook.expirationTime, lifeSeconds, toleranceSeconds, unpulledSeconds],
  );
  return claims.length > 0;
}
