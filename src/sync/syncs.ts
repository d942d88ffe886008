import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { theServer, type RecordAudit } from '../audit/audit-event.ts';
import type { TableSchema } from '../bases/table-schema.ts';
import type { BaseSchemas } from '../bases/base-schemas.ts';
import type { Operation } from '../calendly/operation.ts';
import type { ChangeFeeds } from '../changes/change-feeds.ts';
import type { ChangeLog } from '../changes/change-log.ts';
import type { Feed } from '../changes/feed.ts';
import type { Clock } from '../clock.ts';
import { endTogether } from '../closing.ts';
import type { Upstream } from '../connections/upstream.ts';
import { AppError } from '../errors.ts';
import type { Notifications } from '../database/notifications.ts';
import type { Logger } from '../logger.ts';
import type { RecordServices } from '../records/record-work.ts';
import { mapColumns, type ColumnWish } from './target/mapped-table.ts';
import { targetFor, type TargetWish } from './target/new-target.ts';
import { ProgressWatch } from './progress-watch.ts';
import { StoredSyncs } from './stored-syncs.ts';
import { targetName, type ConflictPolicy, type Direction, type Sync, type SyncPauseReason } from './sync.ts';
import type { HeldSync } from './sync-lease.ts';
import { SyncLeases } from './sync-leases.ts';
import { removeCapture } from './push/capture.ts';
import { turn } from './push/turn.ts';
import { SyncCleaning } from './sync-cleaning.ts';
import { SyncPush } from './push/sync-push.ts';
import { SyncResumption } from './sync-resumption.ts';
import { SyncUpkeep } from './sync-upkeep.ts';
import { SyncWork } from './sync-work.ts';
import { dropTargetTable, readTargetShape, targetNotFound } from './target/target-table.ts';
import { UpstreamTable } from './pull/upstream-table.ts';

export interface SyncsDeps {
  database: DataSource;
  upstream: Pick<Upstream, 'api'>;
  schemas: BaseSchemas;
  log: ChangeLog;
  feeds: ChangeFeeds;
  /** The log of a base, with a living webhook. */
  ensureFeed: (connectionId: number, baseId: string, operation: Operation) => Promise<Feed>;
  refusal: (connectionId: number, baseId: string) => Promise<AppError | null>;
  drainedAt: (feedId: number) => Promise<Date | null>;
  drainNow: (feedId: number) => Promise<Date | null>;
  drainProblem: (feedId: number) => Promise<string | null>;
  notifications: Notifications;
  services: RecordServices;
  /** Hours after which a table is read again, to find what differs; 0 for never. */
  reconcileHours: number;
  /** Whether this process works at syncs, or only lets them be managed. */
  works: boolean;
  audit: RecordAudit;
  clock: Clock;
  logger: Logger;
}

/** So long the end waits for the work on syncs, in milliseconds, before others may take them. */
const endGraceMs = 4_000;
/** What somebody wants of a sync. */
export interface SyncWish extends TargetWish {
  connectionId: number;
  baseId: string;
  direction: Direction;
  conflicts: ConflictPolicy;
  createdBy: string;
}

/** Tables that are kept in step with tables of the upstream. */
export class Syncs {
  readonly stored: StoredSyncs;
  readonly progress: ProgressWatch;
  readonly #deps: SyncsDeps;
  readonly #leases: SyncLeases;
  readonly #table: UpstreamTable;
  readonly #resumption: SyncResumption;
  readonly #upkeep: SyncUpkeep;
  readonly #cleaning: SyncCleaning;
  readonly #works = new Map<string, SyncWork>();
  readonly #closing = new AbortController();

  constructor(deps: SyncsDeps) {
    this.#deps = deps;
    this.stored = new StoredSyncs(deps);
    this.progress = new ProgressWatch({ ...deps, stored: this.stored });
    this.#cleaning = new SyncCleaning(deps);
    this.#leases = new SyncLeases(deps.database, randomUUID());
    this.#table = new UpstreamTable(deps);
    this.#resumption = new SyncResumption({ ...deps, stored: this.stored });
    this.#upkeep = new SyncUpkeep({
      ...deps,
      stored: this.stored,
      leases: this.#leases,
      work: (held) => this.#work(held),
      resume: async (id) => {
        const goesOn = await this.#resumption.byItself(id, this.#table.operation(this.#closing.signal));
        if (goesOn) this.#lookSoon();
        return goesOn;
      },
      onMoved: (id, connectionId, action, outcome) => this.#audit(id, connectionId, action, outcome),
    });
    deps.notifications.on('sync_outbox', {
      onMessage: (id) => this.#works.get(id)?.look(),
      onListening: () => {
        for (const work of this.#works.values()) work.look();
      },
    });
  }

  start(): void {
    if (this.#deps.works) this.#upkeep.start();
  }

  /**
   * Makes the table, unless it is there, and begins to fill it.
   * @throws AppError TOO_MANY, NAME_TAKEN, TARGET_NOT_FOUND, TARGET_UNFIT, and what making the base's webhook throws
   */
  async create(wish: SyncWish, table: TableSchema, operation: Operation): Promise<Sync> {
    const feed = await this.#deps.ensureFeed(wish.connectionId, wish.baseId, operation);
    // Before the first page is read: what happens from here on is told by the log.
    const position = await this.#deps.log.head(feed.id);
    const sync = await this.stored.create(
      async (sql) => ({ ...wish, tableId: table.id, ...(await targetFor(sql, wish, table)) }),
      { feedId: feed.id, position },
    );
    this.#lookSoon();
    return sync;
  }

  /**
   * Goes on where it stood; one that runs is left alone. Where the log does not reach back so far, the whole table is read
   * again.
   * @throws AppError SYNC_NOT_FOUND, TARGET_NOT_FOUND, TARGET_UNFIT, and what making the base's webhook throws
   */
  async resume(sync: Sync, operation: Operation): Promise<Sync> {
    if (await this.#resumption.resume(sync, operation)) this.#lookSoon();
    return this.stored.get(sync.id);
  }

  /**
   * Edits a sync. Rows are written anew where its columns have changed.
   * @param table The upstream's table, where `columns` are given.
   * @throws AppError INVALID_INPUT, TARGET_NOT_FOUND, TARGET_UNFIT, FIELD_NOT_FOUND
   */
  async update(
    sync: Sync,
    edit: {
      /** What is null stays. */
      direction: Direction | null;
      conflicts: ConflictPolicy | null;
      columns: { wishes: readonly ColumnWish[]; table: TableSchema } | null;
    },
  ): Promise<Sync> {
    const { database, clock } = this.#deps;
    await database.transaction(async (sql) => {
      const before = await this.stored.lock(sql, sync.id);
      const direction = edit.direction ?? before.direction;
      requireSafeEdit(before, direction, edit.columns !== null);
      await sql.query('UPDATE syncs SET direction = $2, conflicts = $3, updated_at = $4 WHERE id = $1', [
        sync.id,
        direction,
        edit.conflicts ?? before.conflicts,
        new Date(clock.now()),
      ]);
      if (direction !== before.direction)
        await turn(sql, { ...before, direction }, { from: before.direction });
      if (edit.columns === null) return;
      const shape = await readTargetShape(sql, sync);
      if (!shape) throw targetNotFound(targetName(sync));
      const { columns } = mapColumns(sync, shape, edit.columns.table, edit.columns.wishes);
      await sql.query('UPDATE syncs SET columns = $2, problem = NULL, rows_outdated = true WHERE id = $1', [
        sync.id,
        JSON.stringify(columns),
      ]);
    });
    this.#lookSoon();
    return this.stored.get(sync.id);
  }

  /** Has the whole table read again soon, to find and repair what differs. */
  async reconcile(sync: Sync): Promise<Sync> {
    await this.#deps.database.query(
      `UPDATE syncs SET reread_because = coalesce(reread_because, 'BY_HAND') WHERE id = $1`,
      [sync.id],
    );
    this.#lookSoon();
    return this.stored.get(sync.id);
  }

  /** @param dropTable whether a table that we made goes as well */
  async delete(sync: Sync, { dropTable }: { dropTable: boolean }): Promise<void> {
    await this.#deps.database.transaction(async (sql) => {
      await this.stored.lock(sql, sync.id);
      await removeCapture(sql, sync);
      await this.stored.delete(sql, sync.id);
      if (dropTable && sync.owned) await dropTargetTable(sql, sync);
    });
  }

  /**
   * Lets transactions under way end, and calls that have left unless the upstream is slow; whoever comes next goes on from
   * there, and asks what became of calls.
   */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.progress.close();
    await this.#upkeep.close();
    const work = () =>
      Promise.all([this.#cleaning.idle, ...[...this.#works.values()].map((one) => one.close())]);
    await endTogether({ 'work on syncs': work }, endGraceMs, this.#deps.logger);
    if (this.#deps.works) await this.#leases.releaseAll();
  }

  #work(held: readonly HeldSync[]): void {
    this.#cleaning.look();
    for (const one of held) {
      const before = this.#works.get(one.id);
      if (!before) this.#begin(one);
      // Only once that has ended does other work begin.
      else if (before.lease.number !== one.number) void before.close().then(() => this.#lookSoon());
    }
  }

  #begin(held: HeldSync): void {
    const work = new SyncWork({
      ...this.#deps,
      lease: this.#leases.lease(held),
      table: this.#table,
      pause: (lease, because, problem) => this.#pauseByItself(lease, because, problem),
      push: (lease, obstacles) => new SyncPush({ ...this.#deps, lease, obstacles }),
    });
    this.#works.set(held.id, work);
    void work.ended.then(() => this.#works.delete(held.id));
  }

  #lookSoon(): void {
    if (this.#deps.works) this.#upkeep.lookSoon();
  }

  async #pauseByItself({ id, number }: HeldSync, because: SyncPauseReason, problem: string): Promise<void> {
    const { connectionId } = await this.stored.get(id);
    if (await this.stored.pause(id, because, problem, number))
      this.#audit(id, connectionId, 'pauseSync', because);
  }

  #audit(id: string, connectionId: number, action: 'pauseSync' | 'resumeSync', outcome: string): void {
    this.#deps.logger.info({ sync: id, connectionId, action, outcome }, 'a sync moved by itself');
    void this.#deps.audit({ actor: theServer, action, connectionId, target: `sync:${id}`, outcome });
  }
}

/**
 * Whether what is sent can only be what somebody wrote: a column that is new to the sync is empty in all rows until they
 * have been written, which would look as if somebody had emptied it.
 * @param before as it is, locked
 * @throws AppError INVALID_INPUT
 */
function requireSafeEdit(before: Sync, direction: Direction, hasColumns: boolean): void {
  if (hasColumns && direction !== 'pull')
    throw new AppError(
      'INVALID_INPUT',
      `Columns can be changed while the direction is PULL only: nobody could say which side of a new one counts. ${before.direction === 'pull' ? 'Turn the sync afterwards, once its rows are in step' : 'Turn the sync to PULL first'}.`,
    );
  if (before.direction === 'pull' && direction !== 'pull' && before.rowsOutdated)
    throw new AppError(
      'INVALID_INPUT',
      `The rows of ${targetName(before)} are being brought in step with columns that have changed: what they do not show yet would be sent as empty. Turn the sync once that is done, which takes a moment${before.state === 'paused' ? '; it is paused, so resume it first' : ''}.`,
    );
}
