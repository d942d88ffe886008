import pg from 'pg';
import type { Logger } from '../logger.ts';

/** Bounds of the wait before the next try to listen. */
const minRetryMs = 100;
const maxRetryMs = 3_000;

/** A connection on which nothing comes back for this long is taken for dead. */
const aliveTimeoutMs = 5_000;
const aliveIntervalMs = 15_000;

/** Who listens to a channel of PostgreSQL's NOTIFY. */
export interface NotificationListener {
  onMessage(message: string): void;
  /** Called on every (re)connect: what was told before may have been missed. */
  onListening(): void;
}

/**
 * What PostgreSQL's NOTIFY tells this process. Listening takes a connection of its own, since a pooled one would lose
 * messages; all channels share it. Nothing is repeated for those who were not listening: whoever relies on a channel
 * looks at the tables after every (re)connect, and now and then in between.
 */
export class Notifications {
  readonly #databaseUrl: string;
  readonly #name: string;
  readonly #logger: Logger;
  readonly #listeners = new Map<string, NotificationListener[]>();
  #client: pg.Client | null = null;
  #retry: NodeJS.Timeout | undefined;
  #alive: NodeJS.Timeout | undefined;
  #retryMs = minRetryMs;
  #closed = false;

  /** @param deps.name Under which the database lists this process's connection. */
  constructor(deps: { databaseUrl: string; name: string; logger: Logger }) {
    this.#databaseUrl = deps.databaseUrl;
    this.#name = deps.name;
    this.#logger = deps.logger;
  }

  /** To be called before `start`. */
  on(channel: string, listener: NotificationListener): void {
    this.#listeners.set(channel, [...(this.#listeners.get(channel) ?? []), listener]);
  }

  /** Listens as soon as the database can be reached, and again whenever the connection breaks. */
  start(): void {
    void this.#listen();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearInterval(this.#alive);
    const client = this.#client;
    this.#client = null;
    await client?.end().catch(() => undefined);
  }

  async #listen(): Promise<void> {
    if (this.#closed) return;
    const client = new pg.Client({
      connectionString: this.#databaseUrl,
      application_name: this.#name,
      connectionTimeoutMillis: aliveTimeoutMs,
      query_timeout: aliveTimeoutMs,
      keepAlive: true,
    });
    this.#client = client;
    client.on('error', () => undefined);
    client.once('end', () => this.#again(client));
    client.on('notification', ({ channel, payload }) => {
      for (const listener of this.#listeners.get(channel) ?? []) listener.onMessage(payload ?? '');
    });
    try {
      await client.connect();
      for (const channel of this.#listeners.keys()) {
        await client.query(`LISTEN ${client.escapeIdentifier(channel)}`);
      }
    } catch (error) {
      this.#logger.warn({ err: error }, 'could not listen to the database; trying again');
      this.#again(client);
      return;
    }
    if (this.#client !== client) return;
    this.#retryMs = minRetryMs;
    this.#alive = setInterval(() => {
      client.query('SELECT 1').catch(() => this.#again(client));
    }, aliveIntervalMs);
    for (const listener of [...this.#listeners.values()].flat()) listener.onListening();
  }

  #again(client: pg.Client): void {
    if (this.#client !== client || this.#closed) return;
    this.#client = null;
    clearInterval(this.#alive);
    void client.end().catch(() => undefined);
    this.#retry = setTimeout(() => void this.#listen(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, maxRetryMs);
  }
}
