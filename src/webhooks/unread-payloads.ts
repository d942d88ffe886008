import type { Sql } from '../database/sql.ts';
import { jsonText } from '../changes/json-text.ts';

/** Longest kept part of one payload, in characters of JSON; of longer ones only the keys at the top are. */
const maxKeptLength = 20_000;

/** What of a payload nothing was made of. */
export interface UnreadPayload {
  number: number;
  unread: Record<string, unknown>;
}

/**
 * What of payloads this version does not know, as lists of their numbers and of JSON. It is kept under their positions for
 * as long as the log: the upstream adds keys without notice, and has payloads for seven days only. Reading again keeps it
 * once.
 */
export function unreadColumns(payloads: readonly UnreadPayload[]): [number[], string[]] {
  return [payloads.map(({ number }) => number), payloads.map(({ unread }) => bounded(unread))];
}

/** @returns how many are gone */
export async function pruneUnread(sql: Sql, retentionDays: number): Promise<number> {
  const [, deleted] = await sql.query<[unknown[], number]>(
    'DELETE FROM unread_payloads WHERE logged_at < now() - make_interval(days => $1)',
    [retentionDays],
  );
  return deleted;
}

function bounded(unread: Record<string, unknown>): string {
  const text = jsonText(unread);
  return text.length <= maxKeptLength
    ? text
    : jsonText({
        tooLong: Object.keys(unread)
          .map((key) => key.slice(0, 100))
          .slice(0, 100),
      });
}
