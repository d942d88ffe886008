import type { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { ChangeFeeds } from './change-feeds.ts';
import type { ChangeFilter } from './change-filter.ts';
import type { ConnectionWatch } from './connection-watch.ts';
import type { Feed } from './feed.ts';
import type { FeedReader } from './feed-reader.ts';
import { decodeCursor, encodeCursor, placeOf, positionAt } from './position.ts';
import { streamRecordChanges, type FeedEvent, type SubscriptionEnded } from './record-changes.ts';

interface Options<More> {
  /** What the subscriber gets with each event. */
  more: More;
  connectionId: number;
  after: string | null;
  filter: ChangeFilter;
  feeds: ChangeFeeds;
  watch: ConnectionWatch;
  logger: Logger;
}

/**
 * One subscriber's way into a feed, from a cursor or from now on. It follows the feed until it is closed.
 * @throws AppError CURSOR_INVALID
 */
export async function subscribeToFeed<More extends object>(
  feed: Feed,
  options: Options<More>,
): Promise<FeedSource<More>> {
  const given = options.after === null ? null : decodeCursor(feed.key, options.after);
  const { reader, stop } = await options.feeds.follow(feed);
  const head = placeOf(reader.head);
  return new FeedSource({ feed, reader, stop, head, start: given === null ? head : placeOf(given) }, options);
}

type Told<More> = (FeedEvent | SubscriptionEnded) & More;

/**
 * All subscribers with the same connection and the same filter are told the same after the same position; `key` says so.
 * Thousands of these wait at a time, hence a class whose methods they share.
 */
class FeedSource<More extends object> {
  readonly key: string;
  readonly placeArgument = 'after';
  readonly start: string;
  readonly head: string;
  readonly #feed: Feed;
  readonly #reader: FeedReader;
  readonly #filter: ChangeFilter;
  readonly #logger: Logger;
  readonly #more: More;
  readonly #unfollow: () => void;
  readonly #unwatch: () => void;
  #ended: AppError | null = null;
  #tellEnd: ((last: Told<More>) => void) | null = null;

  constructor(
    way: { feed: Feed; reader: FeedReader; stop: () => void; head: string; start: string },
    { more, connectionId, filter, watch, logger }: Options<More>,
  ) {
    this.key = JSON.stringify([way.feed.id, connectionId, keyOf(filter, way.reader)]);
    this.start = way.start;
    this.head = way.head;
    this.#feed = way.feed;
    this.#reader = way.reader;
    this.#filter = filter;
    this.#logger = logger;
    this.#more = more;
    this.#unfollow = way.stop;
    this.#unwatch = watch.watch(connectionId, way.feed.baseId, (why) => this.#end(why));
  }

  greeting() {
    return this.#placed({ type: 'position', position: positionAt(this.start), at: new Date() });
  }

  async *stream(after: string, signal: AbortSignal) {
    const options = { after: positionAt(after), filter: this.#filter, signal, logger: this.#logger };
    for await (const { events, position, outdated } of streamRecordChanges(this.#reader, options)) {
      const last = outdated && { event: this.#shown({ type: 'ended', error: outdated }) };
      yield { events: events.map((event) => this.#placed(event)), place: placeOf(position), last };
    }
  }

  onEnd(tell: (last: Told<More>) => void): void {
    this.#tellEnd = tell;
    if (this.#ended) this.#end(this.#ended);
  }

  close(): void {
    this.#unwatch();
    this.#unfollow();
  }

  #end(why: AppError): void {
    this.#ended = why;
    this.#tellEnd?.(this.#shown({ type: 'ended', error: why }));
  }

  #shown(event: FeedEvent | SubscriptionEnded): Told<More> {
    return { ...event, ...this.#more };
  }

  #placed(event: FeedEvent) {
    return {
      event: this.#shown(event),
      place: placeOf(event.position),
      id: encodeCursor(this.#feed.key, event.position),
      onlyPlace: event.type === 'position',
    };
  }
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
