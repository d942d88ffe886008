import type { DataSource } from 'typeorm';
import type { Operation } from '../calendly/operation.ts';
import { ConnectionEntity } from '../connections/connection.entity.ts';
import type { Upstream } from '../connections/upstream.ts';
import { AppError } from '../errors.ts';
import { requiredScopes } from './specification.ts';
import type { Webhook } from './webhook.ts';

/** Connections that are asked, one after the other, whether they could take a webhook over. */
const maxCandidates = 10;

/**
 * Through which connection a webhook is read. Upstream it belongs to the OAuth client, so any connection of that client
 * that may read the base can take it over from one that goes.
 */
export class Owners {
  readonly #database: DataSource;
  readonly #upstream: Pick<Upstream, 'api'>;

  constructor(deps: { database: DataSource; upstream: Pick<Upstream, 'api'> }) {
    this.#database = deps.database;
    this.#upstream = deps.upstream;
  }

  /** The connection that has it if that one works, or else another that can, who then gets it; null when there is none. */
  async ownerOf(webhook: Webhook, operation: Operation): Promise<ConnectionEntity | null> {
    const owner =
      webhook.connectionId === null
        ? null
        : await this.#database.getRepository(ConnectionEntity).findOneBy({ id: webhook.connectionId });
    if (owner?.state === 'connected' && owner.clientId === webhook.clientId) return owner;
    return this.handOver(webhook, operation);
  }

  /** Gives a webhook to another connection of the same client that may read its base; null when there is none. */
  async handOver(webhook: Webhook, operation: Operation): Promise<ConnectionEntity | null> {
    const candidates = await this.#database
      .getRepository(ConnectionEntity)
      .createQueryBuilder('connection')
      .where('connection.clientId = :clientId AND connection.state = :state AND connection.id <> :leaving', {
        clientId: webhook.clientId,
        state: 'connected',
        leaving: webhook.connectionId ?? 0,
      })
      .andWhere('connection.grantedScopes @> :scopes', { scopes: [...requiredScopes] })
      .orderBy('connection.id')
      .take(maxCandidates)
      .getMany();
    for (const candidate of candidates) {
      if (!(await this.#mayRead(candidate.id, webhook.baseId, operation))) continue;
      await this.#database.query(
        'UPDATE webhooks SET connection_id = $2, drain_not_before = NULL WHERE id = $1',
        [webhook.id, candidate.id],
      );
      return candidate;
    }
    return null;
  }

  async #mayRead(connectionId: number, baseId: string, operation: Operation): Promise<boolean> {
    try {
      const api = await this.#upstream.api(connectionId, operation, requiredScopes);
      await api.listWebhooks(baseId);
      return true;
    } catch (error) {
      if (error instanceof AppError) return false;
      throw error;
    }
  }
}
