import type { DataSource } from 'typeorm';
import { appendingParameters, appendingSteps, appendingValues } from '../changes/entry-rows.ts';
import { answeredEarly } from '../database/early-answer.ts';
import { runPrepared, type PreparedStatement } from '../database/prepared.ts';
import { givenBack, leaseSeconds } from './drain-leases.ts';
import type { ReadPage } from './page-entries.ts';
import { unreadColumns } from './unread-payloads.ts';
import type { Webhook } from './webhook.ts';

const at = (parameter: number): string => `$${appendingParameters + parameter}`;

const keep = `
    kept AS (
      INSERT INTO unread_payloads (feed_id, generation, payload, content)
      SELECT feed.id, ${at(7)}::integer, entry.* FROM feed, unnest(${at(8)}::integer[], ${at(9)}::jsonb[]) AS entry
      ON CONFLICT DO NOTHING
      RETURNING 1
    ),`;

/**
 * The order of its locks is that of its steps, since each waits for what the one before it gives: the feed's row, then
 * the webhook's, so that a ping, which writes to it too, waits for no more than the commit. Unless the webhook was moved,
 * it divides by zero, and nothing of it stays.
 *
 * Nobody waits for the disk: entries and place are lost together or not at all, and whoever pulls from the older place gets
 * the same entries with the same positions, so also a cursor that was given out meanwhile stays good.
 */
const statement = (name: string, lease: string, hasUnread: boolean): PreparedStatement => ({
  name,
  text: `
    WITH ${appendingSteps},${hasUnread ? keep : ''}
    moved AS (
      UPDATE webhooks SET next_payload = ${at(4)}, last_payload_at = clock_timestamp(),
             last_transaction = greatest(last_transaction, ${at(5)}::bigint), ${lease}
      WHERE (SELECT count(*) FROM appended) ${hasUnread ? '+ (SELECT count(*) FROM kept)' : ''} >= 0
        AND id = ${at(1)} AND drain_holder = ${at(2)} AND next_payload = ${at(3)} AND state = 'active'
        AND ${answeredEarly}
      RETURNING drain_wanted_at
    )
    SELECT 1 / count(*) AS moved, bool_or(drain_wanted_at IS NOT NULL) AS wanted FROM moved`,
});

/** Hardly any page has something unread: a step that finds nothing to do still takes a tenth of the statement's time. */
const withAndWithoutUnread = (name: string, lease: string) => ({
  plain: statement(name, lease, false),
  withUnread: statement(`${name}-unread`, lease, true),
});

const keepLease = withAndWithoutUnread(
  'append-page',
  `drain_lease_until = clock_timestamp() + make_interval(secs => ${at(6)})`,
);
/** Every change but those of a long backlog is in a last page, so it spares a transaction for each. */
const giveLeaseBack = withAndWithoutUnread('append-last-page', givenBack(at(6)));

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
  const page = appendingValues(feedId, entries);
  const move = [id, holder, payloads.from, payloads.to, lastTransaction, ended ?? leaseSeconds];
  const kept = unread.length > 0 ? [generation, ...unreadColumns(unread)] : [];
  try {
    const { plain, withUnread } = ended === null ? keepLease : giveLeaseBack;
    const append = unread.length > 0 ? withUnread : plain;
    const [row] = await runPrepared<{ wanted: boolean }>(database, append, [...page, ...move, ...kept]);
    return row?.wanted ?? false;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === notMoved) return null;
    throw error;
  }
}
