import type { DataSource } from 'typeorm';
import type { ChangeFeeds } from '../../changes/change-feeds.ts';
import { feedFromRow, type FeedRow } from '../../changes/feed.ts';
import type { FeedReader } from '../../changes/feed-reader.ts';
import { comparePositions, type Position } from '../../changes/position.ts';
import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import { RepeatedWork } from '../../repeated-work.ts';
import type { DeliveryList } from './delivery-list.ts';
import type { Matcher } from './matcher.ts';
import type { Sender } from './sender.ts';
import type { TriggerSecrets } from './trigger-secrets.ts';
import type { TriggerChecks } from './trigger-checks.ts';
import type { OnTriggerMoved } from './trigger.ts';

const tickMs = 1_000;
const pruneIntervalMs = 60 * 60_000;

export interface TriggerUpkeepDeps {
  database: DataSource;
  feeds: ChangeFeeds;
  checks: TriggerChecks;
  matcher: Matcher;
  sender: Sender;
  deliveries: DeliveryList;
  secrets: TriggerSecrets;
  onMoved: OnTriggerMoved;
  now: () => number;
  clock: Pick<Clock, 'lookEveryMs'>;
  logger: Logger;
}

interface Followed {
  reader: FeedReader;
  stop: () => void;
  triggerIds: string[];
}

/**
 * The timer behind triggers. It follows the feeds that triggers listen to, so that the upstream is asked as often as for
 * somebody who subscribes; it wakes matcher and sender, also for what a dead instance has left; it pauses triggers whose
 * connection is away, and has all of them checked now and then. All of it looks at rows, so any number of instances may
 * run it.
 */
export class TriggerUpkeep {
  readonly #deps: TriggerUpkeepDeps;
  readonly #followed = new Map<number, Followed>();
  readonly #closing = new AbortController();
  readonly #ticking: RepeatedWork;
  #pruning = Promise.resolve();
  #prunedAt = 0;

  constructor(deps: TriggerUpkeepDeps) {
    this.#deps = deps;
    this.#ticking = new RepeatedWork({
      run: () => this.#tick(),
      everyMs: deps.clock.lookEveryMs ?? tickMs,
      onFailure: (error) =>
        deps.logger.warn({ err: error }, 'upkeep of triggers failed; it will be tried again'),
    });
  }

  start(): void {
    this.#ticking.start();
  }

  /** For whoever has just made something to do: the tick would come up to a second later. */
  lookSoon(): void {
    this.#ticking.soon();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#ticking.close();
    await Promise.all([this.#deps.checks.close(), this.#pruning]);
    for (const { stop } of this.#followed.values()) stop();
  }

  async #tick(): Promise<void> {
    await this.#pauseDisconnected();
    await this.#follow();
    this.#deps.sender.look();
    await this.#deps.checks.begin();
    if (this.#deps.now() - this.#prunedAt > pruneIntervalMs) this.#prune();
  }

  /** Beside the tick, which finds what is due: after a long standstill there may be much to delete. */
  #prune(): void {
    const { database, deliveries, secrets, logger, now } = this.#deps;
    this.#prunedAt = now();
    this.#pruning = secrets
      .forgetEnded(database, new Date(now()))
      .then(() => deliveries.prune(now(), this.#closing.signal))
      .catch((error: unknown) =>
        logger.warn(
          { err: error },
          'secrets or deliveries whose time is over could not be deleted; it will be tried again',
        ),
      );
  }

  /** Follows exactly the feeds of running triggers, and wakes those that have not read all of theirs. */
  async #follow(): Promise<void> {
    const { database, feeds, matcher } = this.#deps;
    const active = await database.query<({ id: string; feedId: number } & Position)[]>(
      `SELECT id, feed_id AS "feedId", generation, payload, ordinal FROM triggers WHERE state = 'active'`,
    );
    const wanted = new Set(active.map(({ feedId }) => feedId));
    for (const [feedId, { stop }] of this.#followed) {
      if (wanted.has(feedId)) continue;
      stop();
      this.#followed.delete(feedId);
    }
    const missing = [...wanted].filter((feedId) => !this.#followed.has(feedId));
    if (missing.length > 0) {
      const rows = await database.query<FeedRow[]>('SELECT * FROM change_feeds WHERE id = ANY($1)', [
        missing,
      ]);
      for (const row of rows) this.#begin(row.id, await feeds.follow(feedFromRow(row)));
    }
    for (const [feedId, followed] of this.#followed) {
      const here = active.filter((trigger) => trigger.feedId === feedId);
      followed.triggerIds = here.map(({ id }) => id);
      for (const trigger of here)
        if (comparePositions(trigger, followed.reader.head) < 0) matcher.kick(trigger.id, followed.reader);
    }
  }

  #begin(feedId: number, { reader, stop }: { reader: FeedReader; stop: () => void }): void {
    const ending = new AbortController();
    const signal = AbortSignal.any([ending.signal, this.#closing.signal]);
    const followed: Followed = {
      reader,
      stop: () => {
        ending.abort();
        stop();
      },
      triggerIds: [],
    };
    this.#followed.set(feedId, followed);
    void this.#wake(followed, signal);
  }

  /** The tick would notice as well, but up to a second later. */
  async #wake(followed: Followed, signal: AbortSignal): Promise<void> {
    const { reader } = followed;
    while (!signal.aborted) {
      const { head } = reader;
      await reader.grown(head, 30_000, signal);
      if (signal.aborted || comparePositions(reader.head, head) <= 0) continue;
      for (const id of followed.triggerIds) this.#deps.matcher.kick(id, reader);
    }
  }

  async #pauseDisconnected(): Promise<void> {
    const [rows] = await this.#deps.database.query<[{ id: string; connectionId: number }[], number]>(
      `UPDATE triggers AS t SET state = 'paused', paused_because = 'CONNECTION_AWAY',
              problem = 'Connection ' || c.id || ' is ' || c.state || ', not connected.'
       FROM connections AS c
       WHERE c.id = t.connection_id AND t.state = 'active' AND c.state NOT IN ('connected', 'error')
       RETURNING t.id, t.connection_id AS "connectionId"`,
    );
    for (const { id, connectionId } of rows)
      this.#deps.onMoved(id, connectionId, 'pauseTrigger', 'CONNECTION_AWAY');
  }
}
