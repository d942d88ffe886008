import type { DataSource } from 'typeorm';
import type { CalendlyApi } from '../calendly/api.ts';
import type { Operation } from '../calendly/operation.ts';
import type { WireWebhook } from '../calendly/wire.ts';
import { ConnectionEntity } from '../connections/connection.entity.ts';
import type { Upstream } from '../connections/upstream.ts';
import { deniesAccess } from './denied-access.ts';
import { requiredScopes, scopesToRead } from './specification.ts';
import type { Webhook } from './webhook.ts';

/** Connections that are asked, one after the other, whether they could take a webhook over. */
const maxCandidates = 10;

/** A connection that may read a webhook's base, as the upstream has just confirmed. */
export interface Reached {
  connection: ConnectionEntity;
  api: CalendlyApi;
  /** All webhooks that the OAuth client holds on the base. */
  webhooks: WireWebhook[];
}

/**
 * Through which connection a webhook is read. Upstream it belongs to the OAuth client, so any connection of that client
 * that may read the base can take it over from one that goes, or that was granted again without the base.
 */
export class Owners {
  readonly #database: DataSource;
  readonly #upstream: Pick<Upstream, 'api'>;
  readonly #onRefused: (connectionId: number, baseId: string) => void;

  /** @param deps.onRefused Told when the connection that a webhook is pulled through may no longer read its base. */
  constructor(deps: {
    database: DataSource;
    upstream: Pick<Upstream, 'api'>;
    onRefused: (connectionId: number, baseId: string) => void;
  }) {
    this.#database = deps.database;
    this.#upstream = deps.upstream;
    this.#onRefused = deps.onRefused;
  }

  /**
   * The base through the connection that has the webhook or, if that one can't, through another, which then gets it.
   * @returns `away` when the only connection has to be connected again first, `refused` when none may read the base.
   * @throws AppError when the upstream can't say so now
   */
  async reach(webhook: Webhook, operation: Operation): Promise<Reached | 'away' | 'refused'> {
    const owner =
      webhook.connectionId === null
        ? null
        : await this.#database
            .getRepository(ConnectionEntity)
            .findOneBy({ id: webhook.connectionId, clientId: webhook.clientId });
    let reached: Reached | 'away' | 'refused' = owner?.state === 'error' ? 'away' : 'refused';
    if (owner?.state === 'connected' && mayPull(webhook, owner)) {
      reached = await this.#ask(owner, webhook.baseId, operation);
      // Once for each webhook: it is handed over or given up now.
      if (reached === 'refused' && webhook.state === 'active') this.#onRefused(owner.id, webhook.baseId);
    }
    if (typeof reached !== 'string') return reached;
    return (await this.handOver(webhook, operation)) ?? reached;
  }

  /**
   * Gives a webhook to another connection of the same client that may read its base.
   * @returns null when none may. @throws AppError when one might but the upstream can't say so now
   */
  async handOver(webhook: Webhook, operation: Operation): Promise<Reached | null> {
    const candidates = await this.#database
      .getRepository(ConnectionEntity)
      .createQueryBuilder('connection')
      .where('connection.clientId = :clientId AND connection.state = :state AND connection.id <> :leaving', {
        clientId: webhook.clientId,
        state: 'connected',
        leaving: webhook.connectionId ?? 0,
      })
      .andWhere('connection.grantedScopes @> :scopes', { scopes: scopesNeeded(webhook) })
      .orderBy('connection.id')
      .take(maxCandidates)
      .getMany();
    let unclear: Error | undefined;
    for (const candidate of candidates) {
      const reached = await this.#ask(candidate, webhook.baseId, operation).catch((error: unknown) => {
        unclear ??=
          error instanceof Error ? error : new Error('A connection was not reached', { cause: error });
        return null;
      });
      if (reached === null || typeof reached === 'string') continue;
      await this.#database.query(
        'UPDATE webhooks SET connection_id = $2, drain_not_before = NULL WHERE id = $1',
        [webhook.id, candidate.id],
      );
      return reached;
    }
    if (unclear !== undefined) throw unclear;
    return null;
  }

  async #ask(
    connection: ConnectionEntity,
    baseId: string,
    operation: Operation,
  ): Promise<Reached | 'away' | 'refused'> {
    try {
      const api = await this.#upstream.api(connection.id, operation, requiredScopes);
      return { connection, api, webhooks: await api.listWebhooks(baseId) };
    } catch (error) {
      if (!deniesAccess(error)) throw error;
      return error.code === 'CONNECTION_NOT_CONNECTED' ? 'away' : 'refused';
    }
  }
}

/** Of what is gone, or about to go, nothing is pulled. */
function scopesNeeded({ state, dataTypes }: Webhook): string[] {
  return state === 'lost' || state === 'ending' ? [...requiredScopes] : scopesToRead(dataTypes);
}

/** The next grant may leave out a scope that the webhook was created with. */
function mayPull(webhook: Webhook, { grantedScopes }: ConnectionEntity): boolean {
  return scopesNeeded(webhook).every((scope) => grantedScopes.includes(scope));
}
