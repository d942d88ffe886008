import type { DataSource } from 'typeorm';
import type { ChangeFeeds } from '../../changes/change-feeds.ts';
import { feedFromRow, type FeedRow } from '../../changes/feed.ts';
import type { FeedReader } from '../../changes/feed-reader.ts';
import { comparePositions, type Position } from '../../changes/position.ts';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { DeliveryList } from './delivery-list.ts';
import type { Matcher } from './matcher.ts';
import type { Sender } from './sender.ts';
import type { StoredTriggers } from './stored-triggers.ts';

const tickMs = 1_000;
/** How often it is seen to that a trigger's connection may still follow its base. */
const checkSeconds = 60;
/** How often one looks whether a trigger that waits for its connection or base can go on. */
const resumeSeconds = { CONNECTION_AWAY: 2, BASE_OUT_OF_REACH: 60 };
/** What is checked at once, per process; the rest is still due a second later. */
const maxChecksAtOnce = 20;
const pruneIntervalMs = 60 * 60_000;

export interface TriggerUpkeepDeps {
  database: DataSource;
  feeds: ChangeFeeds;
  stored: StoredTriggers;
  matcher: Matcher;
  sender: Sender;
  deliveries: DeliveryList;
  /** Why the upstream keeps a connection from a base; null when it does not, throws when it can't say. */
  refusal: (connectionId: number, baseId: string) => Promise<AppError | null>;
  /** Sets a trigger going again, unless somebody has paused it meanwhile. Throws where that is not possible. */
  resume: (triggerId: string) => Promise<boolean>;
  /** Told of a trigger that was paused or set going by itself. */
  onMoved: (
    triggerId: string,
    connectionId: number,
    moved: 'pauseTrigger' | 'resumeTrigger',
    why: string,
  ) => void;
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
 * somebody who subscribes; it wakes matcher and sender, also for what a dead instance has left; and it pauses triggers
 * whose connection or base is away, and lets them go on when it is back. All of it looks at rows, so any number of
 * instances may run it.
 */
export class TriggerUpkeep {
  readonly #deps: TriggerUpkeepDeps;
  readonly #followed = new Map<number, Followed>();
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> = Promise.resolve();
  /** Checks under way, by trigger. */
  readonly #checking = new Map<string, Promise<void>>();
  #isTicking = false;
  #tickAgain = false;
  #prunedAt = 0;

  constructor(deps: TriggerUpkeepDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#schedule(0);
  }

  /** For whoever has just made something to do: the tick would come up to a second later. */
  lookSoon(): void {
    if (!this.#isTicking) this.#schedule(0);
    else this.#tickAgain = true;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    await this.#working;
    await Promise.all(this.#checking.values());
    for (const { stop } of this.#followed.values()) stop();
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#closing.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#isTicking = true;
      this.#tickAgain = false;
      this.#working = this.#tick().catch((error: unknown) =>
        this.#deps.logger.warn({ err: error }, 'upkeep of triggers failed; it will be tried again'),
      );
      void this.#working.then(() => {
        this.#isTicking = false;
        this.#schedule(this.#tickAgain ? 0 : (this.#deps.clock.lookEveryMs ?? tickMs));
      });
    }, delayMs);
  }

  async #tick(): Promise<void> {
    await this.#pauseDisconnected();
    await this.#follow();
    this.#deps.sender.look();
    await this.#beginChecks();
    if (this.#deps.now() - this.#prunedAt > pruneIntervalMs) {
      this.#prunedAt = this.#deps.now();
      await this.#deps.deliveries.prune(this.#deps.now());
    }
  }

  /** Beside the tick: a check asks the upstream, which may take its time, and nobody's deliveries wait for that. */
  async #beginChecks(): Promise<void> {
    const places = maxChecksAtOnce - this.#checking.size;
    if (places === 0) return;
    for (const due of await this.#claimChecks(places))
      this.#checking.set(
        due.id,
        this.#check(due).finally(() => this.#checking.delete(due.id)),
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
    const [rows] = await this.#deps.database.query<[Due[], number]>(
      `UPDATE triggers AS t SET state = 'paused', paused_because = 'CONNECTION_AWAY',
              problem = 'Connection ' || c.id || ' is ' || c.state || ', not connected.'
       FROM connections AS c
       WHERE c.id = t.connection_id AND t.state = 'active' AND c.state NOT IN ('connected', 'error')
       RETURNING t.id, t.connection_id AS "connectionId", t.base_id AS "baseId", t.state`,
    );
    for (const { id, connectionId } of rows)
      this.#deps.onMoved(id, connectionId, 'pauseTrigger', 'CONNECTION_AWAY');
  }

  async #claimChecks(limit: number): Promise<Due[]> {
    const [rows] = await this.#deps.database.query<[Due[], number]>(
      `UPDATE triggers AS t SET checked_at = clock_timestamp() WHERE id IN (
         SELECT one.id FROM triggers AS one JOIN connections AS c ON c.id = one.connection_id
         WHERE c.state = 'connected' AND one.id <> ALL($5) AND (one.state = 'active' OR one.paused_because IN ('CONNECTION_AWAY', 'BASE_OUT_OF_REACH'))
           AND one.checked_at < clock_timestamp() - make_interval(secs => CASE
             WHEN one.state = 'active' THEN $1 WHEN one.paused_because = 'CONNECTION_AWAY' THEN $2 ELSE $3::float8 END)
         LIMIT $4 FOR UPDATE OF one SKIP LOCKED
       ) RETURNING t.id, t.connection_id AS "connectionId", t.base_id AS "baseId", t.state`,
      [
        checkSeconds,
        resumeSeconds.CONNECTION_AWAY,
        resumeSeconds.BASE_OUT_OF_REACH,
        limit,
        [...this.#checking.keys()],
      ],
    );
    return rows;
  }

  async #check({ id, connectionId, baseId, state }: Due): Promise<void> {
    const { stored, refusal, resume, onMoved, logger } = this.#deps;
    try {
      if (state === 'paused') {
        if (await resume(id)) onMoved(id, connectionId, 'resumeTrigger', 'ok');
        return;
      }
      const why = await refusal(connectionId, baseId);
      // Whether the connection has ended is for its row to say.
      if (why === null || why.code === 'CONNECTION_NOT_CONNECTED' || why.code === 'CONNECTION_NOT_FOUND')
        return;
      if (await stored.pause(id, 'BASE_OUT_OF_REACH', why.message))
        onMoved(id, connectionId, 'pauseTrigger', why.code);
    } catch (error) {
      logger.debug({ err: error, trigger: id }, 'a trigger stays as it is for now');
      if (state === 'paused' && error instanceof AppError) await this.#explain(id, error);
    }
  }

  async #explain(id: string, { message }: AppError): Promise<void> {
    await this.#deps.database.query(
      `UPDATE triggers SET problem = $2 WHERE id = $1 AND paused_because IN ('CONNECTION_AWAY', 'BASE_OUT_OF_REACH')`,
      [id, message],
    );
  }
}

interface Due {
  id: string;
  connectionId: number;
  baseId: string;
  state: 'active' | 'paused';
}
