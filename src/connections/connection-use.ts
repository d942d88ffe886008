import type { DataSource } from 'typeorm';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';

/** The least time between two notes of a connection's use: what is known of it is at most this old. */
const noteIntervalMs = 10 * 60_000;

/** Notes beside the requests when a connection is used. A note that is lost does no harm: the next use makes another. */
export class ConnectionUse {
  readonly #database: DataSource;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #writing = new Map<number, Promise<void>>();

  constructor(deps: { database: DataSource; clock: Clock; logger: Logger }) {
    this.#database = deps.database;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
  }

  /** @param lastUsedAt What the row said a moment ago; other instances may have written since. */
  note(connectionId: number, lastUsedAt: Date | null): void {
    const now = this.#clock.now();
    if (lastUsedAt !== null && now - lastUsedAt.getTime() < noteIntervalMs) return;
    if (this.#writing.has(connectionId)) return;
    const writing = this.#database
      .query(
        'UPDATE connections SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)',
        [connectionId, new Date(now), new Date(now - noteIntervalMs)],
      )
      .catch((error: unknown) =>
        this.#logger.debug({ connectionId, err: error }, 'the use of a connection could not be noted'),
      )
      .then(() => void this.#writing.delete(connectionId));
    this.#writing.set(connectionId, writing);
  }

  /** When the notes of now are written, or have failed. */
  async written(): Promise<void> {
    await Promise.all(this.#writing.values());
  }
}
