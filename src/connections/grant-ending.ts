import type { DataSource, EntityManager } from 'typeorm';
import { connectionNotFound } from '../access/caller.ts';
import type { Logger } from '../logger.ts';
import { ConnectionEntity } from './connection.entity.ts';
import type { ConnectionSecrets } from './connection-secrets.ts';
import type { Credentials, OAuthClient } from './oauth-client.ts';

/** What was undone at the upstream, as far as it confirmed. */
export interface GrantReport {
  webhooksDeleted: number;
  /** Webhooks whose deletion the upstream did not confirm; they end by themselves within seven days. */
  webhooksFailed: number;
  /** Null when there were no tokens. */
  tokensRevoked: boolean | null;
}

/** Tokens that arrive while the ones before them are revoked are revoked too, so many times. */
const maxRounds = 3;

/**
 * Gives up grants. Order: our webhooks are deleted while the token still works, then the tokens are revoked, then they
 * are forgotten, whatever the upstream said, in the transaction that makes of the connection what it becomes. That
 * raises the epoch, which voids flows and refreshes that are under way.
 */
export class GrantEnding {
  readonly #deps: {
    database: DataSource;
    secrets: ConnectionSecrets;
    oauth: (credentials: Credentials) => OAuthClient;
    releaseWebhooks: (connectionId: number) => Promise<{ deleted: string[]; failed: string[] }>;
    logger: Logger;
  };

  constructor(deps: {
    database: DataSource;
    secrets: ConnectionSecrets;
    oauth: (credentials: Credentials) => OAuthClient;
    releaseWebhooks: (connectionId: number) => Promise<{ deleted: string[]; failed: string[] }>;
    logger: Logger;
  }) {
    this.#deps = deps;
  }

  /**
   * @param become Writes what the connection becomes and raises its epoch.
   * @param prepare Writes, in the same transaction, what has to be locked before the connection's row.
   * @throws AppError CONNECTION_NOT_FOUND when it was deleted meanwhile
   */
  async end(
    connectionId: number,
    become: (manager: EntityManager) => Promise<void>,
    prepare?: (manager: EntityManager) => Promise<void>,
  ): Promise<GrantReport> {
    const { database, logger } = this.#deps;
    const webhooks = await this.#deps.releaseWebhooks(connectionId).catch((error: unknown) => {
      logger.warn({ connectionId, err: error }, 'webhooks could not be released');
      return { deleted: [], failed: [] };
    });
    let tokensRevoked: boolean | null = null;
    for (let round = 1; ; round += 1) {
      const connection = await database.getRepository(ConnectionEntity).findOneBy({ id: connectionId });
      if (!connection) throw connectionNotFound(connectionId);
      const revoked = await this.#revoke(connection);
      if (revoked !== null) tokensRevoked = revoked && tokensRevoked !== false;
      const isLastRound = round >= maxRounds;
      if (await this.#forget(connection, isLastRound, { become, prepare })) break;
    }
    return {
      webhooksDeleted: webhooks.deleted.length,
      webhooksFailed: webhooks.failed.length,
      tokensRevoked,
    };
  }

  /** @returns whether the upstream confirmed; null when there was nothing to revoke. */
  async #revoke({ id, clientId }: ConnectionEntity): Promise<boolean | null> {
    const { database, secrets, oauth, logger } = this.#deps;
    try {
      const tokens = await secrets.tokens(database, id);
      if (!tokens) return null;
      return await oauth({ clientId, clientSecret: await secrets.clientSecret(database, id) }).revokePair(
        tokens,
      );
    } catch (error) {
      logger.warn({ connectionId: id, err: error }, 'tokens could not be revoked');
      return false;
    }
  }

  /** @returns false when newer tokens than the revoked ones are there; nothing is forgotten then. */
  #forget(
    { id, tokenGeneration }: ConnectionEntity,
    inAnyCase: boolean,
    {
      become,
      prepare,
    }: {
      become: (manager: EntityManager) => Promise<void>;
      prepare: ((manager: EntityManager) => Promise<void>) | undefined;
    },
  ): Promise<boolean> {
    return this.#deps.database.transaction(async (manager) => {
      await prepare?.(manager);
      const rows: { token_generation: number }[] = await manager.query(
        'SELECT token_generation FROM connections WHERE id = $1 FOR UPDATE',
        [id],
      );
      const [row] = rows;
      if (!row) throw connectionNotFound(id);
      if (row.token_generation !== tokenGeneration && !inAnyCase) return false;
      await this.#deps.secrets.forgetTokens(manager, id);
      await become(manager);
      return true;
    });
  }
}
