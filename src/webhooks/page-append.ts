import type { DataSource } from 'typeorm';
import { appendingParameters, appendingSteps, appendingValues } from '../changes/entry-rows.ts';
import { runPrepared, type PreparedStatement } from '../database/prepared.ts';
import { givenBack, leaseSeconds } from './drain-leases.ts';
import type { ReadPage } from './page-entries.ts';
import { unreadColumns } from './unread-payloads.ts';
import type { Webhook } from './webhook.ts';

const at = (parameter: number): string => `$${appendingParameters + parameter}`;

/**
 * The order of its locks is that of its steps, since each waits for what the one before it gives: the feed's row, then
 * the webhook's, so that a ping, which writes to it too, waits for no more than the commit. Unless the webhook was moved,
 * it divides by zero, and nothing of it stays.
 */
const statement = (name: string, lease: string): PreparedStatement => ({
  name,
  text: `
    WITH ${appendingSteps},
    kept AS (
      INSERT INTO unread_payloads (feed_id, generation, payload, content)
      SELECT feed.id, ${at(1)}::integer, entry.* FROM feed, unnest(${at(2)}::integer[], ${at(3)}::jsonb[]) AS entry
      ON CONFLICT DO NOTHING
      RETURNING 1
    ),
    moved AS (
      UPDATE webhooks SET next_payload = ${at(7)}, last_payload_at = clock_timestamp(),
             last_transaction = greatest(last_transaction, ${at(8)}::bigint), ${lease}
      WHERE (SELECT count(*) FROM appended) + (SELECT count(*) FROM kept) >= 0
        AND id = ${at(4)} AND drain_holder = ${at(5)} AND next_payload = ${at(6)} AND state = 'active'
      RETURNING drain_wanted_at
    )
    SELECT 1 / count(*) AS moved, bool_or(drain_wanted_at IS NOT NULL) AS wanted FROM moved`,
});

const keepLease = statement(
  'append-page',
  `drain_lease_until = clock_timestamp() + make_interval(secs => ${at(9)})`,
);
/** Every change but those of a long backlog is in a last page, so it spares a transaction for each. */
const giveLeaseBack = statement('append-last-page', givenBack(at(9)));

/** PostgreSQL's code for a division by zero. */
const notMoved = '22012';

/**
 * Stores what a page of payloads says and moves the webhook behind it, or does neither.
 * @param payloads number of the first one, and the number after the last
 * @param ended when the drain began, if this is its last page: the lease is given back with it
 * @returns whether another drain was asked for meanwhile; null when the lease or the number is no longer the one that the
 *   page was read under
 */
export async function appendPage(
  database: DataSource,
  { id, feedId, generation }: Pick<Webhook, 'id' | 'feedId' | 'generation'>,
  holder: string,
  payloads: { from: number; to: number },
  { entries, lastTransaction, unread }: ReadPage,
  ended: Date | null,
): Promise<boolean | null> {
  const page = [...appendingValues(feedId, entries), generation, ...unreadColumns(unread)];
  const lease = [id, holder, payloads.from, payloads.to, lastTransaction, ended ?? leaseSeconds];
  try {
    const append = ended === null ? keepLease : giveLeaseBack;
    const [row] = await runPrepared<{ wanted: boolean }>(database, append, [...page, ...lease]);
    return row?.wanted ?? false;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === notMoved) return null;
    throw error;
  }
}
