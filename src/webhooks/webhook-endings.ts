import type { DataSource } from 'typeorm';
import type { Operation } from '../calendly/operation.ts';
import type { Upstream } from '../connections/upstream.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Owners } from './owners.ts';
import { endSuccessor, selectWebhooks, type Webhook, type WebhookState } from './webhook.ts';

/** In these the upstream may still have it. */
const held: readonly WebhookState[] = ['active', 'ready', 'ending'];

/** The end of webhooks that somebody wants: one of them, or all that are read through a connection. */
export class WebhookEndings {
  readonly #deps: {
    database: DataSource;
    upstream: Pick<Upstream, 'api'>;
    owners: Owners;
    logger: Logger;
  };

  constructor(deps: {
    database: DataSource;
    upstream: Pick<Upstream, 'api'>;
    owners: Owners;
    logger: Logger;
  }) {
    this.#deps = deps;
  }

  /** Deletes it upstream, then here. What was to take its place follows within seconds. */
  async delete(webhook: Webhook, operation: Operation): Promise<void> {
    const { database, upstream } = this.#deps;
    if (webhook.upstreamId !== null && webhook.connectionId !== null && held.includes(webhook.state)) {
      const api = await upstream.api(webhook.connectionId, operation, ['webhook:manage']);
      await api.deleteWebhook(webhook.baseId, webhook.upstreamId).catch((error: unknown) => {
        if (!(error instanceof AppError) || error.code !== 'WEBHOOK_NOT_FOUND') throw error;
      });
    }
    if (webhook.state === 'active' || webhook.state === 'lost') await endSuccessor(database, webhook.feedId);
    await this.#end(webhook.id, null);
  }

  /**
   * Hands the webhooks of a connection to another one of the same client that may read the base, or deletes them.
   * @returns upstream ids of the webhooks that were deleted, and of those whose deletion was not confirmed
   */
  async release(
    connectionId: number,
    operation: Operation,
  ): Promise<{ deleted: string[]; failed: string[] }> {
    const { database, logger } = this.#deps;
    const released = { deleted: [] as string[], failed: [] as string[] };
    for (const webhook of await this.#heldThrough(connectionId)) {
      if (webhook.state !== 'lost' && (await this.#isTakenOver(webhook, operation))) continue;
      const isHeld = webhook.upstreamId !== null && held.includes(webhook.state);
      try {
        await this.delete(webhook, operation);
        if (webhook.upstreamId !== null && isHeld) released.deleted.push(webhook.upstreamId);
      } catch (error) {
        logger.warn({ err: error, webhook: webhook.id }, 'a webhook could not be deleted upstream');
        if (webhook.upstreamId !== null) released.failed.push(webhook.upstreamId);
        await this.#end(webhook.id, 'Its deletion was not confirmed upstream.');
      }
    }
    await database.query(
      `UPDATE webhooks SET state = 'failed', ended_at = clock_timestamp()
       WHERE id IN (SELECT id FROM webhooks WHERE connection_id = $1 AND state IN ('creating', 'preparing') ORDER BY id FOR UPDATE)`,
      [connectionId],
    );
    await database.query(
      `UPDATE webhooks SET mac_secret_envelope = NULL
       WHERE id IN (SELECT id FROM webhooks WHERE connection_id = $1 AND mac_secret_envelope IS NOT NULL AND state IN ('deleted', 'failed')
                    ORDER BY id FOR UPDATE)`,
      [connectionId],
    );
    return released;
  }

  /** Those that are drained come before their successors. */
  async #heldThrough(connectionId: number): Promise<Webhook[]> {
    return this.#deps.database.query<Webhook[]>(
      `${selectWebhooks} WHERE w.connection_id = $1 AND w.state IN ('active', 'lost', 'ready', 'ending') ORDER BY w.created_at`,
      [connectionId],
    );
  }

  /** While the upstream can't say who may have it, it stays as it is: the next check finds its connection gone. */
  async #isTakenOver(webhook: Webhook, operation: Operation): Promise<boolean> {
    try {
      return (await this.#deps.owners.handOver(webhook, operation)) !== null;
    } catch (error) {
      this.#deps.logger.warn({ err: error, webhook: webhook.id }, 'a webhook will be handed over later');
      return true;
    }
  }

  async #end(webhookId: string, problem: string | null): Promise<void> {
    await this.#deps.database.query(
      `UPDATE webhooks SET state = 'deleted', problem = $2, ended_at = clock_timestamp(), drain_holder = NULL
       WHERE id = $1 AND state IN ('active', 'lost', 'ready', 'ending')`,
      [webhookId, problem],
    );
  }
}
