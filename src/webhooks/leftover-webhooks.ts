import type { DataSource } from 'typeorm';
import type { CalendlyApi } from '../calendly/api.ts';
import { notificationUrlPrefix, routeIdIn, type Addresses } from './notification-url.ts';
import { isRouteId } from './webhook.ts';

/**
 * Deletes webhooks that are ours but none of our living ones: those that ping this server, and those that we have a
 * dead row of, whatever they ping.
 */
export async function removeLeftovers(
  api: CalendlyApi,
  baseId: string,
  deps: { database: DataSource; addresses: Addresses },
): Promise<number> {
  const prefix = notificationUrlPrefix(deps.addresses.publicUrl);
  const held = (await api.listWebhooks(baseId)).map(({ id: upstreamId, notificationUrl: url }) => {
    const routeId = routeIdIn(url ?? '');
    return {
      upstreamId,
      routeId: routeId !== null && isRouteId(routeId) ? routeId : null,
      isHere: url?.startsWith(prefix) ?? false,
    };
  });
  const rows = await deps.database.query<{ id: string; upstreamId: string | null; lives: boolean }[]>(
    `SELECT id, upstream_id AS "upstreamId", state IN ('creating', 'active', 'preparing', 'ready') AS lives
     FROM webhooks WHERE id = ANY($1) OR upstream_id = ANY($2)`,
    [held.flatMap(({ routeId }) => routeId ?? []), held.map(({ upstreamId }) => upstreamId)],
  );
  const leftovers = held.filter(({ upstreamId, routeId, isHere }) => {
    const ours = rows.filter((row) => row.id === routeId || row.upstreamId === upstreamId);
    return ours.length > 0 ? ours.every(({ lives }) => !lives) : isHere && routeId !== null;
  });
  for (const { upstreamId } of leftovers) await api.deleteWebhook(baseId, upstreamId);
  return leftovers.length;
}
