import { AppError } from '../errors.ts';
import { isPruned, type ChangeLog, type EntryFilter } from './change-log.ts';
import type { Feed } from './feed.ts';
import type { LogEntry } from './log-entry.ts';
import { decodeCursor, encodeCursor, origin } from './position.ts';

export interface ChangeList {
  /** Null when the base never had a webhook. */
  feed: Feed | null;
  entries: LogEntry[];
  hasMore: boolean;
  /** The cursor that was asked with. */
  after: string | null;
  /** Where the page begins; it ends there, too, when it is empty. Null when there is no such place. */
  from: string | null;
}

/**
 * One page of a feed, oldest first, with the losses that lie in between.
 * @throws AppError CURSOR_INVALID; CURSOR_EXPIRED when entries behind the cursor have been pruned
 */
export async function readChanges(
  log: ChangeLog,
  feed: Feed | null,
  { after, first, filter }: { after: string | null; first: number; filter: EntryFilter },
): Promise<ChangeList> {
  if (!feed) return { feed, entries: [], hasMore: false, after, from: after };
  const position = after === null ? origin : decodeCursor(feed.key, after);
  const { entries, pruned, prunedUntil } = await log.list(feed.id, position, first + 1, filter);
  if (after !== null && isPruned(position, pruned)) {
    throw new AppError(
      'CURSOR_EXPIRED',
      `Changes behind this cursor are no longer in the log, which reaches back to ${prunedUntil?.toISOString() ?? 'its beginning'}. Leave the cursor out to get what there is, and read the records again.`,
      { details: { loggedSince: prunedUntil?.toISOString() ?? null } },
    );
  }
  return {
    feed,
    entries: entries.slice(0, first),
    hasMore: entries.length > first,
    after,
    from: after ?? encodeCursor(feed.key, pruned),
  };
}
