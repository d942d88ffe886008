import type { DataSource } from 'typeorm';
import type { Logger } from '../logger.ts';
import { ConnectionEntity } from './connection.entity.ts';
import type { ConnectionSecrets } from './connection-secrets.ts';
import type { OAuthClient, Credentials } from './oauth-client.ts';

/** What was undone at the upstream, as far as it confirmed. */
export interface DisconnectReport {
  webhooksDeleted: number;
  /** Webhooks whose deletion the upstream did not confirm; they end by themselves within seven days. */
  webhooksFailed: number;
  tokensRevoked: boolean;
}

/**
 * Ends a grant. Order: our webhooks are deleted while the token still works, then the tokens are revoked, then they
 * are forgotten, whatever the upstream said. The rising epoch voids flows and refreshes that are under way.
 */
export async function disconnect(
  connectionId: number,
  deps: {
    database: DataSource;
    secrets: ConnectionSecrets;
    oauth: (credentials: Credentials) => OAuthClient;
    releaseWebhooks: (connectionId: number) => Promise<{ deleted: string[]; failed: string[] }>;
    logger: Logger;
  },
): Promise<DisconnectReport> {
  const { database, secrets, logger } = deps;
  const webhooks = await deps.releaseWebhooks(connectionId).catch((error: unknown) => {
    logger.warn({ connectionId, err: error }, 'webhooks could not be released');
    return { deleted: [], failed: [] };
  });
  const connection = await database.getRepository(ConnectionEntity).findOneByOrFail({ id: connectionId });

  let tokensRevoked = false;
  try {
    const tokens = await secrets.tokens(database, connectionId);
    if (tokens) {
      const client = deps.oauth({
        clientId: connection.clientId,
        clientSecret: await secrets.clientSecret(database, connectionId),
      });
      tokensRevoked = await client.revoke(tokens.accessToken);
      if (tokens.refreshToken) tokensRevoked = (await client.revoke(tokens.refreshToken)) && tokensRevoked;
    }
  } catch (error) {
    logger.warn({ connectionId, err: error }, 'tokens could not be revoked');
  }

  await database.transaction(async (manager) => {
    await manager.query(
      `UPDATE connections
       SET state = 'disconnected', epoch = epoch + 1, problem_code = NULL, problem_message = NULL, granted_scopes = '{}',
           access_token_expires_at = NULL, refresh_token_expires_at = NULL, refresh_sent_generation = NULL,
           refresh_holder = NULL, refresh_lease_until = NULL, updated_at = now()
       WHERE id = $1`,
      [connectionId],
    );
    await secrets.forgetTokens(manager, connectionId);
  });
  logger.info({ connectionId, tokensRevoked }, 'connection disconnected');
  return { webhooksDeleted: webhooks.deleted.length, webhooksFailed: webhooks.failed.length, tokensRevoked };
}
