import type { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { ChangeFeeds } from './change-feeds.ts';
import type { ChangeFilter } from './change-filter.ts';
import type { ConnectionWatch } from './connection-watch.ts';
import type { Feed } from './feed.ts';
import { decodeCursor } from './position.ts';
import { streamRecordChanges, type FeedEvent, type SubscriptionEnded } from './record-changes.ts';

/**
 * One subscriber's stream of a feed in batches, from a cursor or from now on. It ends by itself when the connection does,
 * and at once when it is returned or its subscriber has left, even in the middle of a wait.
 * @throws AppError CURSOR_INVALID
 */
export async function subscribeToFeed<T>(
  feed: Feed,
  options: {
    /** What the subscriber gets of each event. */
    show: (event: FeedEvent | SubscriptionEnded) => T;
    connectionId: number;
    after: string | null;
    filter: ChangeFilter;
    /** Given when the subscriber has left, which may be before the stream is handed out: then nobody returns it. */
    signal: AbortSignal | undefined;
    feeds: ChangeFeeds;
    watch: ConnectionWatch;
    logger: Logger;
  },
): Promise<AsyncGenerator<T[], undefined, undefined>> {
  const { connectionId, filter, signal, logger, show } = options;
  const given = options.after === null ? null : decodeCursor(feed.key, options.after);
  const { reader, stop: unfollow } = await options.feeds.follow(feed);
  const stopping = new AbortController();
  let ended: AppError | null = null;
  const unwatch = options.watch.watch(connectionId, feed.baseId, (why) => {
    ended = why;
    stopping.abort();
  });
  const close = (): void => {
    signal?.removeEventListener('abort', close);
    stopping.abort();
    unwatch();
    unfollow();
  };
  signal?.addEventListener('abort', close);
  if (signal?.aborted) close();
  async function* run(): AsyncGenerator<T[], undefined, undefined> {
    try {
      const stream = streamRecordChanges(reader, {
        after: given ?? reader.head,
        filter,
        signal: stopping.signal,
        logger,
      });
      for await (const batch of stream) yield batch.map(show);
      if (ended) yield [show({ type: 'ended', error: ended })];
    } finally {
      close();
    }
  }
  const events = run();
  // A generator that waits would only hear of its return when the wait is over, and one that never ran would not at all.
  const end = events.return.bind(events);
  events.return = (value) => {
    close();
    return end(value);
  };
  return events;
}
