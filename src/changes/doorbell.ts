import pg from 'pg';
import type { DataSource } from 'typeorm';
import type { Logger } from '../logger.ts';
import { comparePositions, type Position } from './position.ts';

const channel = 'change_feeds';

/** Rings of one feed that follow each other faster than this are joined: each NOTIFY costs every commit a little. */
const minRingIntervalMs = 50;

/** Bounds of the wait before the next try to listen. */
const minRetryMs = 100;
const maxRetryMs = 3_000;

/** A connection on which nothing comes back for this long is taken for dead. */
const aliveTimeoutMs = 5_000;
const aliveIntervalMs = 15_000;

/**
 * Tells all instances that a feed has grown, by PostgreSQL's NOTIFY; the message carries feed and position only.
 * Listening takes a connection of its own, since a pooled one would lose messages. Nothing is repeated for those who
 * were not listening: whoever relies on it looks at the log after every (re)connect, and now and then in between.
 */
export class Doorbell {
  readonly #database: DataSource;
  readonly #databaseUrl: string;
  readonly #logger: Logger;
  readonly #onRing: (feedId: number, position: Position) => void;
  readonly #onListening: () => void;
  #client: pg.Client | null = null;
  #retry: NodeJS.Timeout | undefined;
  #alive: NodeJS.Timeout | undefined;
  #retryMs = minRetryMs;
  #closed = false;
  readonly #pending = new Map<number, { position: Position | null; timer: NodeJS.Timeout }>();

  constructor(deps: {
    database: DataSource;
    databaseUrl: string;
    logger: Logger;
    onRing: (feedId: number, position: Position) => void;
    /** Called on every (re)connect: what rang before may have been missed. */
    onListening: () => void;
  }) {
    this.#database = deps.database;
    this.#databaseUrl = deps.databaseUrl;
    this.#logger = deps.logger;
    this.#onRing = deps.onRing;
    this.#onListening = deps.onListening;
  }

  /** Listens as soon as the database can be reached, and again whenever the connection breaks. */
  start(): void {
    void this.#listen();
  }

  /** Tells everybody, this process included. Never fails: a lost ring only costs time. */
  ring(feedId: number, position: Position): void {
    const pending = this.#pending.get(feedId);
    if (pending) {
      if (!pending.position || comparePositions(position, pending.position) > 0) pending.position = position;
      return;
    }
    if (this.#closed) return;
    this.#pending.set(feedId, {
      position: null,
      timer: setTimeout(() => this.#ringAgain(feedId), minRingIntervalMs),
    });
    this.#send(feedId, position);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearInterval(this.#alive);
    for (const { timer } of this.#pending.values()) clearTimeout(timer);
    this.#pending.clear();
    const client = this.#client;
    this.#client = null;
    await client?.end().catch(() => undefined);
  }

  #ringAgain(feedId: number): void {
    const pending = this.#pending.get(feedId);
    this.#pending.delete(feedId);
    if (pending?.position) this.ring(feedId, pending.position);
  }

  #send(feedId: number, { generation, payload, ordinal }: Position): void {
    this.#database
      .query('SELECT pg_notify($1, $2)', [channel, [feedId, generation, payload, ordinal].join(' ')])
      .catch((error: unknown) => this.#logger.debug({ err: error, feedId }, 'doorbell could not be rung'));
  }

  async #listen(): Promise<void> {
    if (this.#closed) return;
    const client = new pg.Client({
      connectionString: this.#databaseUrl,
      application_name: 'omnera-calendly-connections doorbell',
      connectionTimeoutMillis: aliveTimeoutMs,
      query_timeout: aliveTimeoutMs,
      keepAlive: true,
    });
    this.#client = client;
    client.on('error', () => undefined);
    client.once('end', () => this.#again(client));
    client.on('notification', ({ payload }) => this.#heard(payload ?? ''));
    try {
      await client.connect();
      await client.query(`LISTEN ${channel}`);
    } catch (error) {
      this.#logger.warn({ err: error }, 'could not listen to the change feeds; trying again');
      this.#again(client);
      return;
    }
    if (this.#client !== client) return;
    this.#retryMs = minRetryMs;
    this.#alive = setInterval(() => {
      client.query('SELECT 1').catch(() => this.#again(client));
    }, aliveIntervalMs);
    this.#onListening();
  }

  #again(client: pg.Client): void {
    if (this.#client !== client || this.#closed) return;
    this.#client = null;
    clearInterval(this.#alive);
    void client.end().catch(() => undefined);
    this.#retry = setTimeout(() => void this.#listen(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, maxRetryMs);
  }

  #heard(message: string): void {
    const [feedId, generation, payload, ordinal] = message.split(' ').map(Number);
    if (feedId === undefined || generation === undefined || payload === undefined || ordinal === undefined)
      return;
    this.#onRing(feedId, { generation, payload, ordinal });
  }
}
