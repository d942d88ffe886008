import type { DataSource } from 'typeorm';
import type { Notifications } from '../database/notifications.ts';
import type { Logger } from '../logger.ts';
import type { ChangeLog } from './change-log.ts';
import { Doorbell } from './doorbell.ts';
import type { Feed } from './feed.ts';
import { FeedReader } from './feed-reader.ts';
import type { Position } from './position.ts';

/** How often followed feeds are read without a ring, since rings can get lost. */
const pollIntervalMs = 5_000;

interface Followed {
  reader: Promise<FeedReader>;
  followers: number;
}

/** The feeds that somebody follows on this instance: one reader each, woken by the doorbell. */
export class ChangeFeeds {
  readonly #log: ChangeLog;
  readonly #logger: Logger;
  readonly #doorbell: Doorbell;
  readonly #followed = new Map<number, Followed>();
  #poll: NodeJS.Timeout | undefined;

  constructor(deps: { database: DataSource; notifications: Notifications; log: ChangeLog; logger: Logger }) {
    this.#log = deps.log;
    this.#logger = deps.logger;
    this.#doorbell = new Doorbell({
      database: deps.database,
      notifications: deps.notifications,
      logger: deps.logger,
      onRing: (feedId, position) => this.#wake(feedId, (reader) => reader.reach(position)),
      onListening: () => this.#wakeAll(),
    });
  }

  start(): void {
    this.#poll = setInterval(() => this.#wakeAll(), pollIntervalMs);
  }

  /** Ids of the feeds that somebody on this instance listens to. */
  get followed(): number[] {
    return [...this.#followed.keys()];
  }

  /** Tells all instances that a feed has grown to a position; those who follow it here don't wait for the way round. */
  ring(feedId: number, position: Position): void {
    this.#wake(feedId, (reader) => reader.reach(position));
    this.#doorbell.ring(feedId, position);
  }

  /** Follows a feed from its present head until `stop` is called. */
  async follow(feed: Feed): Promise<{ reader: FeedReader; stop: () => void }> {
    const followed = this.#followed.get(feed.id) ?? this.#open(feed);
    followed.followers += 1;
    const stop = this.#leaving(feed.id, followed);
    try {
      const reader = await followed.reader;
      // Whoever comes later starts from what is there now, not from what the last ring told.
      await reader.catchUp();
      return { reader, stop };
    } catch (error) {
      stop();
      throw error;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#poll);
    this.#doorbell.close();
    await Promise.all(
      [...this.#followed.values()].map(async ({ reader }) => (await reader.catch(() => null))?.catchUp()),
    );
  }

  /** @returns to be called by a follower who leaves; more than once does no harm */
  #leaving(feedId: number, followed: Followed): () => void {
    let isFollowing = true;
    return () => {
      if (!isFollowing) return;
      isFollowing = false;
      followed.followers -= 1;
      if (followed.followers === 0 && this.#followed.get(feedId) === followed) this.#followed.delete(feedId);
    };
  }

  #open(feed: Feed): Followed {
    const reader = this.#log
      .head(feed.id)
      .then((head) => new FeedReader(feed, head, { log: this.#log, logger: this.#logger }));
    const followed = { reader, followers: 0 };
    this.#followed.set(feed.id, followed);
    return followed;
  }

  #wake(feedId: number, read: (reader: FeedReader) => Promise<void>): void {
    // A reader that could not be opened has told its followers already.
    this.#followed
      .get(feedId)
      ?.reader.then(read)
      .catch(() => undefined);
  }

  #wakeAll(): void {
    for (const feedId of this.#followed.keys()) this.#wake(feedId, (reader) => reader.catchUp());
  }
}
