import type { DataSource } from 'typeorm';
import type { CalendlyApi } from '../calendly/api.ts';
import type { CreatedWebhook } from '../calendly/wire.ts';
import type { ConnectionEntity } from '../connections/connection.entity.ts';
import { AppError } from '../errors.ts';
import { explained, mayBeFull } from './creation-errors.ts';
import { removeLeftovers } from './leftover-webhooks.ts';
import type { Addresses } from './notification-url.ts';
import { specificationFor } from './specification.ts';
import type { Claim } from './webhook-claims.ts';

/**
 * The create call of a claim. What an earlier life of this server left upstream is deleted before, as far as we know of
 * one, or when it holds the places.
 * @throws AppError WEBHOOK_LIMIT, UPSTREAM_FORBIDDEN and what any upstream call throws; the claim is failed then, or gone
 *   where the upstream has said that it made nothing
 */
export async function createUpstream(
  api: CalendlyApi,
  connection: ConnectionEntity,
  baseId: string,
  claim: Claim,
  deps: { database: DataSource; addresses: Addresses },
): Promise<CreatedWebhook> {
  const body = {
    notificationUrl: claim.url ?? undefined,
    specification: specificationFor(connection.grantedScopes),
  };
  try {
    if (claim.feed.generation > 0 || (await hasFailures(deps.database, claim.feed.id)))
      await removeLeftovers(api, claim.feed, deps);
    try {
      return await api.createWebhook(baseId, body);
    } catch (error) {
      // Another life of this server may hold the places; what points to us and is not ours any more can go.
      if (!mayBeFull(error) || (await removeLeftovers(api, claim.feed, deps)) === 0) throw error;
      return await api.createWebhook(baseId, body);
    }
  } catch (error) {
    await endClaim(deps.database, claim, error);
    throw explained(error, connection.id, baseId);
  }
}

/** A failed claim is kept since the upstream may have made its webhook. However often it refuses, nothing piles up here. */
async function endClaim(database: DataSource, { id }: Claim, error: unknown): Promise<void> {
  const mine = `id = $1 AND state IN ('creating', 'preparing')`;
  if (wasRefused(error)) await database.query(`DELETE FROM webhooks WHERE ${mine}`, [id]);
  else
    await database.query(`UPDATE webhooks SET state = 'failed', problem = $2 WHERE ${mine}`, [
      id,
      error instanceof AppError ? error.message : 'The create call failed.',
    ]);
}

/** Whether the upstream has answered, and has made nothing. */
function wasRefused(error: unknown): boolean {
  if (!(error instanceof AppError) || error.details.outcome === 'unknown') return false;
  const { upstreamStatus: status } = error.details;
  return typeof status === 'number' && status >= 400 && status < 500;
}

async function hasFailures(database: DataSource, feedId: number): Promise<boolean> {
  const rows = await database.query<unknown[]>(
    `SELECT 1 FROM webhooks WHERE feed_id = $1 AND state = 'failed' LIMIT 1`,
    [feedId],
  );
  return rows.length > 0;
}
