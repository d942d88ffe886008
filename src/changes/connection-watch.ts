import type { DataSource } from 'typeorm';
import type { Logger } from '../logger.ts';

/** How long a subscription may outlive its connection, in milliseconds. */
const checkIntervalMs = 1_000;

interface Watched {
  watchers: Set<() => void>;
}

/**
 * Notices that connections have ended (disconnected, given other credentials, deleted), on whichever instance that was
 * done. A connection in `error` has not ended: its feed may still be served by another, and it may recover.
 */
export class ConnectionWatch {
  readonly #database: DataSource;
  readonly #logger: Logger;
  readonly #watched = new Map<number, Watched>();
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: { database: DataSource; logger: Logger }) {
    this.#database = deps.database;
    this.#logger = deps.logger;
  }

  /**
   * Calls back once when the connection has ended.
   * @returns stops watching
   */
  watch(connectionId: number, onEnded: () => void): () => void {
    const watched = this.#watched.get(connectionId) ?? { watchers: new Set() };
    this.#watched.set(connectionId, watched);
    watched.watchers.add(onEnded);
    this.#schedule();
    return () => {
      watched.watchers.delete(onEnded);
      if (watched.watchers.size === 0 && this.#watched.get(connectionId) === watched)
        this.#watched.delete(connectionId);
    };
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#watched.clear();
  }

  #schedule(): void {
    if (this.#timer || this.#watched.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#check()
        .catch((error: unknown) => this.#logger.debug({ err: error }, 'connections could not be watched'))
        .finally(() => {
          this.#timer = undefined;
          this.#schedule();
        });
    }, checkIntervalMs);
  }

  async #check(): Promise<void> {
    const ids = [...this.#watched.keys()];
    const living = await this.#database.query<{ id: number }[]>(
      `SELECT id FROM connections WHERE id = ANY($1) AND state IN ('connected', 'error')`,
      [ids],
    );
    const livingIds = new Set(living.map(({ id }) => id));
    for (const id of ids.filter((one) => !livingIds.has(one))) {
      const watched = this.#watched.get(id);
      this.#watched.delete(id);
      for (const ended of watched?.watchers ?? []) ended();
    }
  }
}
