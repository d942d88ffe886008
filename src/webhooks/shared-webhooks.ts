import type { DataSource } from 'typeorm';
import type { Operation } from '../calendly/operation.ts';
import { ConnectionEntity } from '../connections/connection.entity.ts';
import { AppError } from '../errors.ts';
import type { BaseReaders } from './base-readers.ts';
import { findWebhook, selectWebhooks, type Webhook } from './webhook.ts';
import { isUuid } from '../uuid.ts';

/** The living webhooks as connections see them: one is shared by all of its OAuth client that may read its base. */
export class SharedWebhooks {
  readonly #database: DataSource;
  readonly #readers: BaseReaders;

  constructor(deps: { database: DataSource; readers: BaseReaders }) {
    this.#database = deps.database;
    this.#readers = deps.readers;
  }

  /** @throws AppError WEBHOOK_NOT_FOUND */
  async get(id: string): Promise<Webhook> {
    const webhook = isUuid(id) ? await findWebhook(this.#database, id) : null;
    if (webhook?.state === 'active' || webhook?.state === 'lost') return webhook;
    throw webhookNotFound(id);
  }

  /**
   * A webhook for somebody who may use its base through one of the client's connections, whichever it is held through.
   * @param sees whether a base is within reach through a connection
   * @throws AppError WEBHOOK_NOT_FOUND for what is missing and for what is out of reach alike
   */
  async find(
    id: string,
    operation: Operation,
    sees: (connectionId: number, baseId: string) => boolean,
  ): Promise<Webhook> {
    const webhook = await this.get(id);
    const { clientId, baseId, connectionId } = webhook;
    if (connectionId !== null && sees(connectionId, baseId)) return webhook;
    const connections = await this.#database
      .getRepository(ConnectionEntity)
      .find({ where: { clientId }, order: { id: 'ASC' } });
    for (const connection of connections) {
      if (sees(connection.id, baseId) && (await this.#readers.mayRead(connection, baseId, operation)))
        return webhook;
    }
    throw webhookNotFound(id);
  }

  /**
   * The webhooks that feed the bases of a connection: those held through it, and those held through others of its OAuth
   * client on bases that it may read. Oldest first.
   * @param sees whether a base is within reach
   */
  async list(
    connection: ConnectionEntity,
    operation: Operation,
    sees: (baseId: string) => boolean,
  ): Promise<Webhook[]> {
    const webhooks = await this.#database.query<Webhook[]>(
      `${selectWebhooks} WHERE (f.client_id = $1 OR w.connection_id = $2) AND w.state IN ('active', 'lost') ORDER BY w.created_at`,
      [connection.clientId, connection.id],
    );
    const shown = await Promise.all(
      webhooks.map(
        async ({ connectionId, baseId }) =>
          sees(baseId) &&
          (connectionId === connection.id || (await this.#readers.mayRead(connection, baseId, operation))),
      ),
    );
    return webhooks.filter((_, index) => shown[index]);
  }
}

export function webhookNotFound(id: string): AppError {
  return new AppError(
    'WEBHOOK_NOT_FOUND',
    `There is no webhook ${id.slice(0, 60)}, or it has ended. A connection's field "webhooks" lists the living ones.`,
  );
}
