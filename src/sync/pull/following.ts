import { setTimeout as wait } from 'node:timers/promises';
import type { ChangeFeeds } from '../../changes/change-feeds.ts';
import { feedFromRow, type FeedRow } from '../../changes/feed.ts';
import type { FeedReader } from '../../changes/feed-reader.ts';
import type { Obstacles } from '../obstacles.ts';
import type { Sync } from '../sync.ts';
import type { SyncLease } from '../sync-lease.ts';
import type { LogApplier } from './log-applier.ts';

/** Bounds of the wait for the upstream to tell of everything, before it is asked again, in milliseconds; it doubles. */
const minRetryMs = 500;
const maxRetryMs = 5_000;

export interface FollowingDeps {
  lease: SyncLease;
  feeds: ChangeFeeds;
  drainNow: (feedId: number) => Promise<Date | null>;
  /** Why changes can not be pulled at the moment; null when nothing is known to be in the way. */
  drainProblem: (feedId: number) => Promise<string | null>;
  applier: LogApplier;
  obstacles: Obstacles;
}

/**
 * The feed of a sync, followed for as long as somebody works at the sync: so its webhook is looked after, and made again
 * when it is gone.
 */
export class Following {
  readonly #deps: FollowingDeps;
  readonly #signal: AbortSignal;
  #followed: { feedId: number; reader: FeedReader; stop: () => void } | null = null;

  constructor(deps: FollowingDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
  }

  async reader({ feedId }: Pick<Sync, 'feedId'>): Promise<FeedReader> {
    if (this.#followed?.feedId === feedId) return this.#followed.reader;
    this.close();
    const [row] = await this.#deps.lease.sql.query<FeedRow[]>('SELECT * FROM change_feeds WHERE id = $1', [
      feedId,
    ]);
    if (!row) throw new Error(`There is no feed ${feedId}.`);
    const { reader, stop } = await this.#deps.feeds.follow(feedFromRow(row));
    this.#followed = { feedId, reader, stop };
    return reader;
  }

  /** Applies all that the upstream can tell of at the call, however long that takes. @returns when it was asked */
  async catchUp(): Promise<Date> {
    const { lease, drainNow, drainProblem, applier, obstacles } = this.#deps;
    for (let retryMs = minRetryMs; ; retryMs = Math.min(maxRetryMs, retryMs * 2)) {
      this.#signal.throwIfAborted();
      const { feedId } = await lease.read();
      const drainedAt = await drainNow(feedId);
      if (drainedAt !== null) {
        await obstacles.note('changes', null);
        await applier.toEnd();
        return drainedAt;
      }
      await obstacles.note('changes', await drainProblem(feedId));
      await wait(retryMs, undefined, { signal: this.#signal }).catch(() => undefined);
    }
  }

  close(): void {
    this.#followed?.stop();
    this.#followed = null;
  }
}
