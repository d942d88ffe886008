import type { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { ChangeFeeds } from './change-feeds.ts';
import type { ChangeFilter } from './change-filter.ts';
import type { ConnectionWatch } from './connection-watch.ts';
import type { Feed } from './feed.ts';
import type { FeedReader } from './feed-reader.ts';
import { decodeCursor, encodeCursor, placeOf, positionAt } from './position.ts';
import { streamRecordChanges, type FeedEvent, type SubscriptionEnded } from './record-changes.ts';

/**
 * One subscriber's way into a feed, from a cursor or from now on. All subscribers with the same connection and the same
 * filter are told the same after the same position; `key` says so. It follows the feed until it is closed.
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
    feeds: ChangeFeeds;
    watch: ConnectionWatch;
    logger: Logger;
  },
) {
  const { connectionId, filter, logger, show } = options;
  const given = options.after === null ? null : decodeCursor(feed.key, options.after);
  const { reader, stop: unfollow } = await options.feeds.follow(feed);
  const head = placeOf(reader.head);
  const start = given === null ? head : placeOf(given);
  let end: AppError | null = null;
  let onEnd: ((why: AppError) => void) | null = null;
  const unwatch = options.watch.watch(connectionId, feed.baseId, (why) => {
    end = why;
    onEnd?.(why);
  });
  const placed = (event: FeedEvent) => ({
    event: show(event),
    place: placeOf(event.position),
    id: encodeCursor(feed.key, event.position),
    onlyPlace: event.type === 'position',
  });
  const ended = (error: AppError): T => show({ type: 'ended', error });
  return {
    key: JSON.stringify([feed.id, connectionId, keyOf(filter, reader)]),
    placeArgument: 'after',
    start,
    head,
    greeting: () => placed({ type: 'position', position: positionAt(start), at: new Date() }),
    async *stream(after: string, signal: AbortSignal) {
      const steps = streamRecordChanges(reader, { after: positionAt(after), filter, signal, logger });
      for await (const { events, position, outdated } of steps) {
        const last = outdated && { event: ended(outdated) };
        yield { events: events.map(placed), place: placeOf(position), last };
      }
    },
    onEnd(tell: (last: T) => void): void {
      onEnd = (why) => tell(ended(why));
      if (end) onEnd(end);
    },
    close(): void {
      unwatch();
      unfollow();
    },
  };
}

/**
 * All that decides what passes, and when that is outdated. Two filters on cells are the same only if no change of the
 * schema lies between the moments at which they were checked.
 */
function keyOf({ tableId, recordIds, kinds, fieldIds, cells }: ChangeFilter, reader: FeedReader): unknown[] {
  const lists = [recordIds, kinds, fieldIds].map((list) => list && [...list].sort());
  const checkedAt = cells && placeOf(reader.oldestLikeNow(cells.checkedAt));
  return [tableId ?? null, ...lists, cells && [cells.toJSON(), [...cells.fields], checkedAt]];
}
