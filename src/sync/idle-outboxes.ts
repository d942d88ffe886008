import type { DataSource } from 'typeorm';
import { foldOutbox } from './push/outbox.ts';

/** What is folded of one sync in one go, in batches of the outbox. */
const maxBatches = 20;

/**
 * Folds what was captured for syncs that are paused, or wait for the upstream before they are live, where nobody sends it:
 * however often a row is changed meanwhile, it is pending once. Any number of instances may do so.
 */
export async function foldIdleOutboxes(database: DataSource): Promise<void> {
  const idle = await database.query<{ id: string }[]>(
    `SELECT s.id FROM syncs AS s WHERE s.state <> 'live' AND EXISTS (SELECT 1 FROM sync_outbox AS o WHERE o.sync_id = s.id)
     ORDER BY s.id`,
  );
  for (const { id } of idle)
    for (let batch = 1, isMore = true; isMore && batch <= maxBatches; batch += 1)
      isMore = await database.transaction(async (sql) => {
        const held = await sql.query<unknown[]>(
          `SELECT 1 FROM syncs WHERE id = $1 AND state <> 'live' FOR UPDATE SKIP LOCKED`,
          [id],
        );
        return held.length > 0 && (await foldOutbox(sql, { id }));
      });
}
