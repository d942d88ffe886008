import type { DataSource } from 'typeorm';
import { answeredEarly } from '../database/early-answer.ts';
import { runPrepared, type PreparedStatement } from '../database/prepared.ts';
import type { Notifications } from '../database/notifications.ts';
import type { Logger } from '../logger.ts';
import { comparePositions, type Position } from './position.ts';

const channel = 'change_feeds';

const notify: PreparedStatement = { name: 'ring', text: `SELECT pg_notify($1, $2) WHERE ${answeredEarly}` };

/** Rings of one feed that follow each other faster than this are joined: each NOTIFY costs every commit a little. */
const minRingIntervalMs = 50;

/**
 * Tells all instances that a feed has grown, by PostgreSQL's NOTIFY; the message carries feed and position only. A ring
 * can get lost: whoever relies on it looks at the log after every (re)connect, and now and then in between.
 */
export class Doorbell {
  readonly #database: DataSource;
  readonly #logger: Logger;
  readonly #onRing: (feedId: number, position: Position) => void;
  #closed = false;
  readonly #pending = new Map<number, { position: Position | null; timer: NodeJS.Timeout }>();

  constructor(deps: {
    database: DataSource;
    notifications: Notifications;
    logger: Logger;
    onRing: (feedId: number, position: Position) => void;
    /** Called on every (re)connect: what rang before may have been missed. */
    onListening: () => void;
  }) {
    this.#database = deps.database;
    this.#logger = deps.logger;
    this.#onRing = deps.onRing;
    deps.notifications.on(channel, {
      onMessage: (message) => this.#heard(message),
      onListening: deps.onListening,
    });
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

  close(): void {
    this.#closed = true;
    for (const { timer } of this.#pending.values()) clearTimeout(timer);
    this.#pending.clear();
  }

  #ringAgain(feedId: number): void {
    const pending = this.#pending.get(feedId);
    this.#pending.delete(feedId);
    if (pending?.position) this.ring(feedId, pending.position);
  }

  #send(feedId: number, { generation, payload, ordinal }: Position): void {
    runPrepared(this.#database, notify, [channel, [feedId, generation, payload, ordinal].join(' ')]).catch(
      (error: unknown) => this.#logger.debug({ err: error, feedId }, 'doorbell could not be rung'),
    );
  }

  #heard(message: string): void {
    const [feedId, generation, payload, ordinal] = message.split(' ').map(Number);
    if (feedId === undefined || generation === undefined || payload === undefined || ordinal === undefined)
      return;
    this.#onRing(feedId, { generation, payload, ordinal });
  }
}
