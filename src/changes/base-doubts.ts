import type { DataSource } from 'typeorm';
import type { Notifications } from '../database/notifications.ts';
import type { Logger } from '../logger.ts';

const channel = 'base_doubts';

/**
 * The upstream has refused a connection what it takes to follow a base: it may have been taken out of the grant there. All
 * instances hear of it, and ask the upstream before they tell more of that base through that connection. Who does not hear
 * of it asks some minutes later.
 */
export class BaseDoubts {
  readonly #database: DataSource;
  readonly #notifications: Notifications;
  readonly #logger: Logger;

  constructor(deps: { database: DataSource; notifications: Notifications; logger: Logger }) {
    this.#database = deps.database;
    this.#notifications = deps.notifications;
    this.#logger = deps.logger;
  }

  /** To be called before notifications start. Who asked first is called first. */
  onDoubt(listener: (connectionId: number, baseId: string) => void): void {
    this.#notifications.on(channel, {
      onMessage: (message) => {
        const [connectionId, baseId = ''] = message.split(' ');
        listener(Number(connectionId), baseId);
      },
      onListening: () => undefined,
    });
  }

  tell(connectionId: number, baseId: string): void {
    this.#database
      .query('SELECT pg_notify($1, $2)', [channel, `${connectionId} ${baseId}`])
      .catch((error: unknown) =>
        this.#logger.debug({ err: error, connectionId, baseId }, 'a doubt about a base was told to nobody'),
      );
  }
}
