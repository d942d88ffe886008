import type { DataSource, EntityManager } from 'typeorm';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { ConnectionEntity } from './connection.entity.ts';
import { maskedSecret } from './connection-input.ts';
import type { ConnectionSecrets } from './connection-secrets.ts';
import type { Connections } from './connections.ts';
import type { GrantEnding, GrantReport } from './grant-ending.ts';

/*
 * What people do to a connection that exists, apart from OAuth:
 *
 *   renamed, other scopes asked for           the state stays
 *   other client id or secret                 any -> configured; the grant belonged to the old credentials and ends
 *   disconnected                              connected, error -> disconnected; the grant ends
 *   deleted                                   any -> gone; the grant ends, then the row and its envelopes are erased
 *
 * What the connections file manages is renamed, given credentials and deleted by way of the file alone.
 * A grant always ends with the credentials it was made with, so they are replaced last.
 */

/** What is left out, or null, stays as it is. */
export interface ConnectionChanges {
  name?: string | null | undefined;
  clientId?: string | null | undefined;
  /** `***`, which is what is shown of it, keeps it too. */
  clientSecret?: string | null | undefined;
  requestedScopes?: string[] | null | undefined;
}

/** Columns of a connection without a grant. */
const withoutGrant = `epoch = epoch + 1, problem_code = NULL, problem_message = NULL, granted_scopes = '{}',
  access_token_expires_at = NULL, refresh_token_expires_at = NULL, refresh_sent_generation = NULL,
  refresh_holder = NULL, refresh_lease_until = NULL, updated_at = now()`;

export class ConnectionLifecycle {
  readonly #connections: Connections;
  readonly #secrets: ConnectionSecrets;
  readonly #database: DataSource;
  readonly #grants: GrantEnding;
  readonly #leaveWebhooks: (sql: EntityManager, connectionId: number) => Promise<void>;
  readonly #logger: Logger;

  constructor(deps: {
    database: DataSource;
    connections: Connections;
    secrets: ConnectionSecrets;
    grants: GrantEnding;
    /** Takes a connection from the rows of its webhooks. */
    leaveWebhooks: (sql: EntityManager, connectionId: number) => Promise<void>;
    logger: Logger;
  }) {
    this.#database = deps.database;
    this.#connections = deps.connections;
    this.#secrets = deps.secrets;
    this.#grants = deps.grants;
    this.#leaveWebhooks = deps.leaveWebhooks;
    this.#logger = deps.logger;
  }

  /**
   * Writes what differs. A taken name is refused before a grant ends.
   * @returns what came of the grant; null when the credentials are the old ones
   * @throws AppError CONNECTION_MANAGED, NAME_TAKEN, CONNECTION_NOT_FOUND
   */
  async update(connection: ConnectionEntity, changes: ConnectionChanges): Promise<GrantReport | null> {
    refuseManaged(connection, 'Change it there, then restart the server');
    await this.#connections.edit(connection, {
      name: changes.name ?? null,
      requestedScopes: changes.requestedScopes ?? null,
    });
    return this.replaceCredentials(connection, changes);
  }

  /**
   * Ends the grant if the credentials are others than before, and stores them.
   * @returns what came of the grant; null when they are the old ones
   * @throws AppError CONNECTION_NOT_FOUND
   */
  async replaceCredentials(
    connection: ConnectionEntity,
    changes: Pick<ConnectionChanges, 'clientId' | 'clientSecret'>,
  ): Promise<GrantReport | null> {
    const clientId = changes.clientId ?? connection.clientId;
    const clientSecret = await this.#newSecret(connection.id, changes.clientSecret);
    if (clientId === connection.clientId && clientSecret === null) return null;
    const report = await this.#grants.end(connection.id, async (manager) => {
      await manager.query(
        `UPDATE connections
         SET state = 'configured', client_id = $2, account_id = NULL, account_email = NULL, last_refreshed_at = NULL, ${withoutGrant}
         WHERE id = $1`,
        [connection.id, clientId],
      );
      if (clientSecret !== null) await this.#secrets.storeClientSecret(manager, connection.id, clientSecret);
    });
    this.#logger.info({ connectionId: connection.id, ...report }, 'credentials of a connection changed');
    return report;
  }

  /** @throws AppError CONNECTION_NOT_CONNECTED when there is no grant to give up, CONNECTION_NOT_FOUND */
  async disconnect({ id, state }: ConnectionEntity): Promise<GrantReport> {
    if (state !== 'connected' && state !== 'error') {
      throw new AppError(
        'CONNECTION_NOT_CONNECTED',
        `Connection ${id} is ${state}: there is no grant to give up.`,
        { details: { connectionId: id, state: state.toUpperCase() } },
      );
    }
    const report = await this.#grants.end(id, async (manager) => {
      // Other credentials may have ended it meanwhile: then it is configured, and stays so.
      await manager.query(
        `UPDATE connections SET state = 'disconnected', ${withoutGrant} WHERE id = $1 AND state IN ('connected', 'error')`,
        [id],
      );
    });
    this.#logger.info({ connectionId: id, ...report }, 'connection disconnected');
    return report;
  }

  /**
   * Erases the row, and with it every envelope and flow of the connection.
   * @throws AppError CONNECTION_MANAGED, CONNECTION_NOT_FOUND
   */
  async delete(connection: ConnectionEntity): Promise<GrantReport> {
    refuseManaged(connection, 'Remove it there and restart the server, then delete it');
    const { id } = connection;
    // Rows of webhooks would be changed with the connection's, but in no order, and while that one is locked.
    const leave = (manager: EntityManager) => this.#leaveWebhooks(manager, id);
    const report = await this.#grants.end(id, (manager) => erase(manager, id), leave);
    this.#logger.info({ connectionId: id, ...report }, 'connection deleted');
    return report;
  }

  /** The secret, if it is given and not the stored one. One that can't be read any more counts as another. */
  async #newSecret(connectionId: number, given: string | null | undefined): Promise<string | null> {
    if (given == null || given === maskedSecret) return null;
    try {
      const stored = await this.#secrets.clientSecret(this.#database, connectionId);
      return given === stored ? null : given;
    } catch (error) {
      if (error instanceof AppError && error.code === 'SECRET_UNREADABLE') return given;
      throw error;
    }
  }
}

/** Otherwise the next start would undo it. @throws AppError CONNECTION_MANAGED */
function refuseManaged({ id, managedByFile }: ConnectionEntity, advice: string): void {
  if (!managedByFile) return;
  throw new AppError(
    'CONNECTION_MANAGED',
    `Connection ${id} is managed by the file that CONNECTIONS_FILE names. ${advice}.`,
    { details: { connectionId: id } },
  );
}

/** connection_secrets and authorization_flows go with the row. */
async function erase(manager: EntityManager, connectionId: number): Promise<void> {
  await manager.query('DELETE FROM connections WHERE id = $1', [connectionId]);
}
