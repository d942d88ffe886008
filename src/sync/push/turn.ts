import type { EntityManager } from 'typeorm';
import type { Sync } from '../sync.ts';
import { readTargetShape, withTypesOf } from '../target/target-table.ts';
import { dropChanges, ensureCapture } from './capture.ts';

/**
 * Whoever works at the sync begins anew, with or without what was changed in the target. Rows that the former direction
 * left otherwise are brought in step; in a pull that undoes what was changed and has not left.
 */
export async function turn(sql: EntityManager, sync: Sync): Promise<void> {
  if (sync.direction === 'pull') await dropChanges(sql, sync);
  else await ensureCapture(sql, withTypesOf(sync, await readTargetShape(sql, sync)));
  await sql.query('UPDATE syncs SET holder = NULL, lease_until = NULL, rows_outdated = true WHERE id = $1', [
    sync.id,
  ]);
}
