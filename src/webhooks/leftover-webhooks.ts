import type { DataSource } from 'typeorm';
import type { CalendlyApi } from '../calendly/api.ts';
import { notificationUrlPrefix } from './notification-url.ts';
import { isRouteId } from './webhook.ts';

/** Deletes webhooks that point to this server but belong to none of its living rows. */
export async function removeLeftovers(
  api: CalendlyApi,
  baseId: string,
  deps: { database: DataSource; publicUrl: string },
): Promise<number> {
  const prefix = notificationUrlPrefix(deps.publicUrl);
  const ours = (await api.listWebhooks(baseId))
    .map(({ id, notificationUrl: url }) => ({
      upstreamId: id,
      routeId: url?.startsWith(prefix) ? url.slice(prefix.length) : '',
    }))
    .filter(({ routeId }) => isRouteId(routeId));
  const living = await deps.database.query<{ id: string }[]>(
    `SELECT id FROM webhooks WHERE id = ANY($1) AND state IN ('creating', 'active')`,
    [ours.map(({ routeId }) => routeId)],
  );
  const leftovers = ours.filter(({ routeId }) => !living.some(({ id }) => id === routeId));
  for (const { upstreamId } of leftovers) await api.deleteWebhook(baseId, upstreamId);
  return leftovers.length;
}
