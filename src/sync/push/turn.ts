import type { EntityManager } from 'typeorm';
import type { Direction, Sync } from '../sync.ts';
import { readTargetShape, withTypesOf } from '../target/target-table.ts';
import { captureAnew, dropChanges, ensureCapture } from './capture.ts';

/**
 * Whoever works at the sync begins anew, with or without what was changed in the target. Rows that the former direction
 * left otherwise are brought in step; in a pull that undoes what was changed and has not left.
 * @param sync with its new direction, which is stored
 */
export async function turn(sql: EntityManager, sync: Sync, { from }: { from: Direction }): Promise<void> {
  if (sync.direction === 'pull') {
    await dropChanges(sql, sync);
  } else {
    const current = withTypesOf(sync, await readTargetShape(sql, sync));
    // Of transactions that were open when it turned to a pull, and have ended since.
    if (from === 'pull') await sql.query('DELETE FROM sync_outbox WHERE sync_id = $1', [sync.id]);
    await (from === 'pull' ? captureAnew(sql, current) : ensureCapture(sql, current));
  }
  await sql.query('UPDATE syncs SET holder = NULL, lease_until = NULL, rows_outdated = true WHERE id = $1', [
    sync.id,
  ]);
}
