import type { DataSource } from 'typeorm';
import type { Clock } from '../clock.ts';
import { connectionsChannel } from '../connections/connection-changes.ts';
import type { Notifications } from '../database/notifications.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { BaseDoubts } from './base-doubts.ts';

/** How often connections are looked at without a notification, since those can get lost, in milliseconds. */
const pollIntervalMs = 10_000;

/** How long the upstream's word is taken that a connection may read a base, in milliseconds: grants can be narrowed there. */
const trustMs = 10 * 60_000;

/** One grant of a connection. Refreshes raise the generation alone, flows that merely began the epoch alone. */
interface Grant {
  epoch: number;
  tokenGeneration: number;
}

interface Watched {
  connectionId: number;
  baseId: string;
  watchers: Set<{ onEnded: (why: AppError) => void }>;
  /** The grant under which the upstream was last known to let the connection read the base; null before the first look. */
  grant: Grant | null;
  /** When it said so, in milliseconds since the epoch. */
  askedAt: number;
  isAsking: boolean;
  /** Whether it has refused the connection something there since it was asked. */
  isDoubted: boolean;
}

/**
 * Notices that connections can no longer follow a base, on whichever instance that came about: that they have ended
 * (disconnected, given other credentials, deleted), or were granted again without the base. A connection in `error` has
 * not ended: its feed may still be served by another, and it may recover.
 *
 * A notification only says that there is something to see; what counts is the row. The upstream is asked for each new
 * grant and base, when it has refused the connection something there, and now and then after that. While it can't say, it
 * is asked again with the next look.
 */
export class ConnectionWatch {
  readonly #database: DataSource;
  readonly #refusal: (connectionId: number, baseId: string) => Promise<AppError | null>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #watched = new Map<string, Watched>();
  #poll: NodeJS.Timeout | undefined;
  #isWanted = false;
  #isLooking = false;
  #isClosed = false;

  /** @param deps.refusal Why the upstream keeps a connection from a base; null when it does not, throws when it can't say. */
  constructor(deps: {
    database: DataSource;
    notifications: Notifications;
    doubts: BaseDoubts;
    refusal: (connectionId: number, baseId: string) => Promise<AppError | null>;
    clock: Clock;
    logger: Logger;
  }) {
    this.#database = deps.database;
    this.#refusal = deps.refusal;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    deps.notifications.on(connectionsChannel, {
      onMessage: (id) => this.#heed(Number(id)),
      onListening: () => void this.#look(),
    });
    deps.doubts.onDoubt((connectionId, baseId) => this.#doubt(connectionId, baseId));
  }

  /**
   * Calls back once, never before it has returned, when the connection can no longer follow the base.
   * @returns stops watching
   */
  watch(connectionId: number, baseId: string, onEnded: (why: AppError) => void): () => void {
    const key = `${connectionId}/${baseId}`;
    const known = this.#watched.get(key);
    const watched = known ?? {
      connectionId,
      baseId,
      watchers: new Set(),
      grant: null,
      askedAt: 0,
      isAsking: false,
      isDoubted: false,
    };
    // An object of its own for each, so that one that is given twice is called twice.
    const watcher = { onEnded };
    watched.watchers.add(watcher);
    if (!known && !this.#isClosed) {
      this.#watched.set(key, watched);
      this.#poll ??= setInterval(() => void this.#look(), pollIntervalMs);
      // It may have ended just before.
      void this.#look();
    }
    return () => {
      watched.watchers.delete(watcher);
      if (watched.watchers.size === 0) this.#forget(watched);
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#watched.clear();
    clearInterval(this.#poll);
  }

  #heed(connectionId: number): void {
    for (const watched of this.#watched.values())
      if (watched.connectionId === connectionId) return void this.#look();
  }

  /** The next look asks the upstream, whatever it said last. */
  #doubt(connectionId: number, baseId: string): void {
    const watched = this.#watched.get(`${connectionId}/${baseId}`);
    if (!watched) return;
    watched.askedAt = 0;
    watched.isDoubted = true;
    void this.#look();
  }

  /** Whoever asks during a look has another one follow, which sees what was written meanwhile. */
  async #look(): Promise<void> {
    this.#isWanted = true;
    if (this.#isLooking) return;
    this.#isLooking = true;
    while (this.#isWanted) {
      this.#isWanted = false;
      await this.#check().catch((error: unknown) =>
        this.#logger.debug({ err: error }, 'connections could not be watched'),
      );
    }
    this.#isLooking = false;
  }

  async #check(): Promise<void> {
    const all = [...this.#watched.values()];
    if (all.length === 0) return;
    const living = await this.#database.query<(Grant & { id: number; state: 'connected' | 'error' })[]>(
      `SELECT id, state, epoch, token_generation AS "tokenGeneration" FROM connections
       WHERE id = ANY($1) AND state IN ('connected', 'error')`,
      [[...new Set(all.map(({ connectionId }) => connectionId))]],
    );
    const byId = new Map(living.map((row) => [row.id, row]));
    for (const watched of all) {
      const row = byId.get(watched.connectionId);
      if (!row) this.#end(watched, connectionEnded(watched.connectionId));
      else if (row.state === 'connected') this.#compare(watched, row);
    }
  }

  #compare(watched: Watched, { epoch, tokenGeneration }: Grant): void {
    const { grant } = watched;
    if (grant && grant.epoch === epoch) grant.tokenGeneration = tokenGeneration;
    const isTrusted = grant !== null && this.#clock.now() - watched.askedAt < trustMs;
    if (!isTrusted || grant.tokenGeneration !== tokenGeneration)
      void this.#ask(watched, { epoch, tokenGeneration });
  }

  async #ask(watched: Watched, grant: Grant): Promise<void> {
    if (watched.isAsking) return;
    watched.isAsking = true;
    watched.isDoubted = false;
    try {
      const why = await this.#refusal(watched.connectionId, watched.baseId);
      if (why === null) Object.assign(watched, { grant, askedAt: watched.isDoubted ? 0 : this.#clock.now() });
      // Whether it has ended is for its row to say.
      else if (why.code !== 'CONNECTION_NOT_CONNECTED' && why.code !== 'CONNECTION_NOT_FOUND')
        this.#end(watched, why);
    } catch (error) {
      this.#logger.debug({ err: error }, 'whether a connection may follow a base is asked again');
    } finally {
      watched.isAsking = false;
    }
  }

  #end(watched: Watched, why: AppError): void {
    this.#forget(watched);
    for (const { onEnded } of [...watched.watchers]) onEnded(why);
  }

  #forget(watched: Watched): void {
    const key = `${watched.connectionId}/${watched.baseId}`;
    if (this.#watched.get(key) === watched) this.#watched.delete(key);
    if (this.#watched.size > 0) return;
    clearInterval(this.#poll);
    this.#poll = undefined;
  }
}

function connectionEnded(connectionId: number): AppError {
  return new AppError(
    'CONNECTION_NOT_CONNECTED',
    `Connection ${connectionId} was disconnected, so its changes are no longer told. Reconnect it, then subscribe again with the last cursor.`,
    { details: { connectionId } },
  );
}
