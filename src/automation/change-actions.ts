import { isUpstreamId } from '../calendly/ids.ts';
import { readChanges } from '../changes/change-list.ts';
import type { ChangeEntry, LostEntry } from '../changes/log-entry.ts';
import { encodeCursor } from '../changes/position.ts';
import { defaultPageLength } from '../graphql/list-slice.ts';
import { action } from './action.ts';
import { after, baseId, first, recordId, tableId } from './settings.ts';

/**
 * What the webhook of a base has told, from our log. Payloads themselves are not kept: the upstream forgets them after
 * seven days, and pulling them here would part them from the subscriptions.
 */
export const listWebhookPayloads = action(
  { baseId, tableId: tableId.nullish(), recordId: recordId.nullish(), first, after },
  async (config, { records, connectionId, changeLog, findFeed }) => {
    records.caller.requireBase(connectionId, config.baseId);
    const feed = await findFeed(connectionId, config.baseId);
    // An id is taken as it is, so that a deleted table can still be asked for.
    const tableId =
      config.tableId == null || isUpstreamId('tbl', config.tableId)
        ? (config.tableId ?? null)
        : (await records.schemas.table(connectionId, config.baseId, config.tableId)).id;
    const { entries, hasMore } = await readChanges(changeLog, feed, {
      after: config.after ?? null,
      first: config.first ?? defaultPageLength,
      filter: { tableId, recordId: config.recordId ?? null },
    });
    const last = entries.at(-1);
    return {
      changes: feed ? entries.flatMap((entry) => (isChange(entry) ? [changeJson(entry, feed.key)] : [])) : [],
      losses: feed
        ? entries.flatMap((entry) => (entry.kind === 'lost' ? [lossJson(entry, feed.key)] : []))
        : [],
      loggedSince: feed?.prunedUntil?.toISOString() ?? null,
      pageInfo: {
        hasNextPage: hasMore,
        endCursor: feed && last ? encodeCursor(feed.key, last.position) : (config.after ?? null),
      },
    };
  },
);

function isChange(entry: { kind: string }): entry is ChangeEntry {
  return entry.kind !== 'lost' && entry.kind !== 'schema';
}

function changeJson({ position, ...entry }: ChangeEntry, feedKey: string): object {
  return {
    cursor: encodeCursor(feedKey, position),
    kind: entry.kind.toUpperCase(),
    tableId: entry.tableId,
    recordId: entry.recordId,
    occurredAt: entry.occurredAt.toISOString(),
    source: entry.source,
    actor: entry.actor,
    fields: entry.fields,
  };
}

function lossJson({ position, loss }: LostEntry, feedKey: string): object {
  return {
    cursor: encodeCursor(feedKey, position),
    reason: loss.reason.toUpperCase(),
    since: loss.since,
    until: loss.until,
  };
}
