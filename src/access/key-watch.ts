import type { DataSource } from 'typeorm';
import type { Logger } from '../logger.ts';
import { isLiving, keyIdOf } from './api-key.ts';

/** How long what runs under a key may outlive it, in milliseconds. */
const checkIntervalMs = 2_000;

/**
 * Notices that keys have ended (revoked, expired, deleted), on whichever instance that was done. One look at the
 * database serves all that runs under all keys in this process, and there is none while nothing does.
 */
export class KeyWatch {
  readonly #database: DataSource;
  readonly #logger: Logger;
  readonly #watched = new Map<number, Set<{ onEnded: () => void }>>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(deps: { database: DataSource; logger: Logger }) {
    this.#database = deps.database;
    this.#logger = deps.logger;
  }

  /**
   * Calls back once when the caller's key has ended.
   * @returns stops watching
   */
  watch(callerId: string, onEnded: () => void): () => void {
    const id = keyIdOf(callerId);
    if (id === null || this.#closed) return () => undefined;
    const watchers = this.#watched.get(id) ?? new Set();
    this.#watched.set(id, watchers);
    // An object of its own for each, so that one that is given twice is called twice.
    const watcher = { onEnded };
    watchers.add(watcher);
    this.#schedule();
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watched.get(id) === watchers) this.#watched.delete(id);
    };
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#watched.clear();
  }

  #schedule(): void {
    if (this.#timer || this.#closed || this.#watched.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#check()
        .catch((error: unknown) => this.#logger.debug({ err: error }, 'API keys could not be watched'))
        .finally(() => {
          this.#timer = undefined;
          this.#schedule();
        });
    }, checkIntervalMs);
  }

  async #check(): Promise<void> {
    const ids = [...this.#watched.keys()];
    const living = await this.#database.query<{ id: number }[]>(
      `SELECT id FROM api_keys WHERE id = ANY($1) AND ${isLiving}`,
      [ids],
    );
    const livingIds = new Set(living.map(({ id }) => id));
    for (const id of ids.filter((one) => !livingIds.has(one))) {
      const watchers = this.#watched.get(id);
      this.#watched.delete(id);
      for (const { onEnded } of watchers ?? []) onEnded();
    }
  }
}
