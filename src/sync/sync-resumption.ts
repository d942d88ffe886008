import type { DataSource } from 'typeorm';
import type { Operation } from '../calendly/operation.ts';
import type { ChangeLog } from '../changes/change-log.ts';
import type { Feed } from '../changes/feed.ts';
import type { Clock } from '../clock.ts';
import { ensureCapture } from './push/capture.ts';
import type { StoredSyncs } from './stored-syncs.ts';
import { resumedByHand, targetName, type Sync } from './sync.ts';
import { requireFit, requireSameKey } from './target/fit-table.ts';
import { refuseServerTable } from './target/server-tables.ts';
import { createTargetTable, readTargetShape, targetNotFound, withTypesOf } from './target/target-table.ts';

export interface SyncResumptionDeps {
  database: DataSource;
  stored: StoredSyncs;
  log: ChangeLog;
  /** The log of a base, with a living webhook. */
  ensureFeed: (connectionId: number, baseId: string, operation: Operation) => Promise<Feed>;
  clock: Clock;
}

/**
 * Sets syncs going again that are paused: they go on where they stood, or read the table again where the log does not reach
 * back so far.
 */
export class SyncResumption {
  readonly #deps: SyncResumptionDeps;

  constructor(deps: SyncResumptionDeps) {
    this.#deps = deps;
  }

  /**
   * One that runs is left alone.
   * @returns whether it goes on by that
   * @throws AppError SYNC_NOT_FOUND, TARGET_NOT_FOUND, TARGET_UNFIT, and what making the base's webhook throws
   */
  resume(sync: Sync, operation: Operation): Promise<boolean> {
    return this.#resume(sync, operation, (current) => current.state === 'paused');
  }

  /** The same for one that may go on without anybody's word. Whoever has paused it by hand meanwhile is not overruled. */
  async byItself(id: string, operation: Operation): Promise<boolean> {
    const seen = await this.#deps.stored.get(id);
    if (seen.pausedBecause === null || resumedByHand.includes(seen.pausedBecause)) return false;
    return this.#resume(
      seen,
      operation,
      ({ state, pausedBecause, updatedAt }) =>
        state === 'paused' &&
        pausedBecause === seen.pausedBecause &&
        updatedAt.getTime() === seen.updatedAt.getTime(),
    );
  }

  /** @param mayGoOn asked once nobody can pause, resume or delete it any more */
  async #resume(
    { id, connectionId, baseId }: Sync,
    operation: Operation,
    mayGoOn: (current: Sync) => boolean,
  ): Promise<boolean> {
    const { database, stored, log, clock, ensureFeed } = this.#deps;
    const feed = await ensureFeed(connectionId, baseId, operation);
    const head = await log.head(feed.id);
    return database.transaction(async (sql) => {
      const sync = await stored.lock(sql, id);
      if (!mayGoOn(sync)) return false;
      await refuseServerTable(sql, sync);
      await requireFit(sql, sync);
      const shape = await readTargetShape(sql, sync);
      if (shape) requireSameKey(sync, shape);
      if (!shape && !sync.owned) throw targetNotFound(targetName(sync));
      if (!shape) {
        await createTargetTable(sql, sync, sync.columns);
        await sql.query('UPDATE copied_records SET row_key = NULL WHERE sync_id = $1', [id]);
      }
      await ensureCapture(sql, withTypesOf(sync, shape));
      // Another OAuth client has another log: of what happened before its head it knows nothing.
      const isOther = feed.id !== sync.feedId;
      const { generation, payload, ordinal } = isOther ? head : sync.position;
      await sql.query(
        `UPDATE syncs SET state = CASE WHEN as_of IS NULL THEN 'filling' ELSE 'live' END, paused_because = NULL, problem = NULL,
                loss_accepted = loss_accepted OR paused_because = 'RECORDS_MISSING',
                feed_id = $2, generation = $3, payload = $4, ordinal = $5, updated_at = $6, schema_outdated = true,
                reread_because = CASE WHEN $7 THEN 'CHANGES_LOST' ELSE reread_because END, rows_outdated = rows_outdated OR $8
         WHERE id = $1`,
        [id, feed.id, generation, payload, ordinal, new Date(clock.now()), isOther, shape === null],
      );
      return true;
    });
  }
}
