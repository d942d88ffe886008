import { setTimeout as wait } from 'node:timers/promises';
import type { ChangeFeeds } from '../changes/change-feeds.ts';
import type { ChangeLog } from '../changes/change-log.ts';
import { feedFromRow, type FeedRow } from '../changes/feed.ts';
import type { FeedReader } from '../changes/feed-reader.ts';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { keepsShapes, type FieldShapes } from '../records/copies/field-shapes.ts';
import { fill } from './pull/fill.ts';
import { followSchema } from './target/follow-schema.ts';
import { LogApplier } from './pull/log-applier.ts';
import { Reconcile } from './pull/reconcile.ts';
import { fillColumns } from './target/fill-columns.ts';
import { rewriteRows } from './target/rewrite-rows.ts';
import { finishRun, keepOrders } from './pull/stored-run.ts';
import type { Sync, SyncPauseReason } from './sync.ts';
import type { SyncPush } from './push/sync-push.ts';
import { SyncLost, type SyncLeases } from './sync-lease.ts';
import { misfitOf } from './target/target-table.ts';
import type { UpstreamTable } from './pull/upstream-table.ts';

/** How often one looks for news without being woken. */
const lookIntervalMs = 1_000;

/** Bounds of the wait after a failure; it doubles with each in a row. */
const minRetryMs = 500;
const maxRetryMs = 60_000;

/** What one waits for the upstream to tell of everything, before it is asked again, in milliseconds. */
const catchUpRetryMs = 500;

export interface SyncWorkDeps {
  leases: SyncLeases;
  log: ChangeLog;
  feeds: ChangeFeeds;
  table: UpstreamTable;
  drainedAt: (feedId: number) => Promise<Date | null>;
  drainNow: (feedId: number) => Promise<Date | null>;
  /** Hours after which a table is read again, to find what differs; 0 for never. */
  reconcileHours: number;
  pause: (syncId: string, because: SyncPauseReason, problem: string) => Promise<void>;
  /** Begins to send what is changed in the target. */
  push: (syncId: string) => SyncPush;
  clock: Clock;
  logger: Logger;
}

/**
 * The work on one sync while this process holds its lease: the first fill, then the log as it grows, changes of the schema
 * and the reconcile beside it. It ends when the lease is lost.
 */
export class SyncWork {
  /** Fulfilled when the work has ended. Never rejects. */
  readonly ended: Promise<void>;
  readonly #id: string;
  readonly #deps: SyncWorkDeps;
  readonly #applier: LogApplier;
  readonly #closing = new AbortController();
  #followed: { feedId: number; reader: FeedReader; stop: () => void } | null = null;
  #push: SyncPush | null = null;
  #reconciling: Promise<void> | null = null;
  #reconcileNotBefore = 0;
  #reconcileFailures = 0;

  constructor(id: string, deps: SyncWorkDeps) {
    this.#id = id;
    this.#deps = deps;
    this.#applier = new LogApplier(id, deps, this.#closing.signal);
    this.ended = this.#run();
  }

  /** Something was changed in the target. */
  look(): void {
    this.#push?.look();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted;) {
      try {
        await this.#step();
        failures = 0;
      } catch (error) {
        failures += 1;
        if (!(await this.#goesOnAfter(error))) break;
        await pause(Math.min(maxRetryMs, minRetryMs * 2 ** (failures - 1)), signal);
      }
    }
    this.#closing.abort();
    await Promise.all([this.#reconciling, this.#push?.close()]);
    this.#followed?.stop();
  }

  /** @returns whether it is to be tried again */
  async #goesOnAfter(error: unknown): Promise<boolean> {
    if (error instanceof SyncLost || this.#closing.signal.aborted) return false;
    const { logger, pause } = this.#deps;
    logger.warn({ err: error, sync: this.#id }, 'work on a sync failed; it will be tried again');
    const misfit = misfitOf(error);
    const isGone = error instanceof AppError && error.code === 'TABLE_NOT_FOUND';
    if (misfit === null && !isGone) return true;
    await pause(
      this.#id,
      isGone ? 'TABLE_GONE' : 'TARGET_GONE',
      isGone ? error.message : (misfit ?? ''),
    ).catch(() => undefined);
    return false;
  }

  async #step(): Promise<void> {
    const { leases, clock } = this.#deps;
    const sync = await leases.read(this.#id);
    if (sync.state === 'filling') return this.#fill(sync);
    if (sync.direction !== 'pull') this.#push ??= this.#deps.push(this.#id);
    const reader = await this.#follow(sync);
    // In this order: what the last pull has found is in the log, and is applied before that is said.
    const drainedAt = await this.#deps.drainedAt(sync.feedId);
    await this.#applier.toEnd();
    await this.#noteAsOf(drainedAt);
    const now = await leases.read(this.#id);
    if (now.schemaOutdated) await this.#followSchema(now);
    if (now.rowsOutdated) await rewriteRows(this.#id, leases, () => new Date(clock.now()));
    this.#reconcileIfDue(now);
    await reader.grown(now.position, clock.lookEveryMs ?? lookIntervalMs, this.#closing.signal);
  }

  async #fill(sync: Sync): Promise<void> {
    const { leases, clock, logger } = this.#deps;
    const { signal } = this.#closing;
    if (sync.schemaOutdated) await this.#followSchema(sync);
    if (sync.runFinishedAt === null && sync.runKind !== 'reconcile') {
      await fill(this.#id, this.#deps, signal);
      await leases.transaction(this.#id, (sql, read) => finishRun(sql, read, new Date(clock.now())));
    }
    let drainedAt = await this.#catchUp();
    for (let now = await leases.read(this.#id); isIncomplete(now); now = await leases.read(this.#id)) {
      if (now.schemaOutdated) {
        await this.#followSchema(now);
        continue;
      }
      // Changes were lost meanwhile, or fields have changed: what was read before is not what there is.
      await this.#newReconcile().run(signal);
      drainedAt = await this.#catchUp();
    }
    if ((await leases.read(this.#id)).rowsOutdated)
      await rewriteRows(this.#id, leases, () => new Date(clock.now()));
    await leases.transaction(this.#id, (sql) =>
      sql.query(`UPDATE syncs SET state = 'live', as_of = $2 WHERE id = $1`, [this.#id, drainedAt]),
    );
    logger.info({ sync: this.#id }, 'a sync has read its table, and follows it from now on');
  }

  /** Applies all that the upstream can tell of at the call. @returns when it was asked */
  async #catchUp(): Promise<Date> {
    const { leases, drainNow } = this.#deps;
    const { signal } = this.#closing;
    for (;;) {
      signal.throwIfAborted();
      const { feedId } = await leases.read(this.#id);
      const drainedAt = await drainNow(feedId);
      if (drainedAt !== null) {
        await this.#applier.toEnd();
        return drainedAt;
      }
      await pause(catchUpRetryMs, signal);
    }
  }

  /** While something is known to be missing, neither the copy nor the target is what the upstream had. */
  async #noteAsOf(drainedAt: Date | null): Promise<void> {
    if (drainedAt === null) return;
    await this.#deps.leases.sql.query(
      `UPDATE syncs SET as_of = $2 WHERE id = $1 AND state = 'live' AND as_of < $2 AND NOT schema_outdated AND NOT rows_outdated
         AND coalesce(reread_because, '') NOT IN ('CHANGES_LOST', 'FIELDS_CHANGED')
         AND NOT (run_finished_at IS NULL AND coalesce(run_because, '') IN ('CHANGES_LOST', 'FIELDS_CHANGED'))`,
      [this.#id, drainedAt],
    );
  }

  async #follow({ feedId }: Sync): Promise<FeedReader> {
    if (this.#followed?.feedId === feedId) return this.#followed.reader;
    this.#followed?.stop();
    const [row] = await this.#deps.leases.sql.query<FeedRow[]>('SELECT * FROM change_feeds WHERE id = $1', [
      feedId,
    ]);
    if (!row) throw new Error(`There is no feed ${feedId}.`);
    const { reader, stop } = await this.#deps.feeds.follow(feedFromRow(row));
    this.#followed = { feedId, reader, stop };
    return reader;
  }

  async #followSchema(sync: Sync): Promise<void> {
    const { leases, table, clock, logger } = this.#deps;
    const schema = await table.schema(sync, this.#closing.signal);
    await leases.transaction(this.#id, async (sql, current) => {
      const followed = await followSchema(sql, current, schema, new Date(clock.now()));
      await fillColumns(sql, current, followed.columns, new Date(clock.now()));
      const [known] = await sql.query<{ shapes: FieldShapes | null }[]>(
        'SELECT CASE WHEN run_finished_at IS NULL THEN run_shapes ELSE field_shapes END AS shapes FROM syncs WHERE id = $1',
        [this.#id],
      );
      await keepOrders(sql, this.#id, schema);
      // Such as a choice that was renamed, and with it all cells that have it.
      const cellsOutdated = followed.cellsOutdated || !keepsShapes(schema, known?.shapes ?? {});
      await sql.query(
        `UPDATE syncs SET columns = $2, problem = $3, schema_outdated = false, rows_outdated = rows_outdated OR $4,
                reread_because = CASE WHEN $5 AND reread_because IS DISTINCT FROM 'CHANGES_LOST' THEN 'FIELDS_CHANGED'
                                      ELSE reread_because END
         WHERE id = $1`,
        [this.#id, JSON.stringify(followed.columns), followed.problem, followed.rowsOutdated, cellsOutdated],
      );
    });
    logger.info({ sync: this.#id }, 'a sync follows changes of the fields');
  }

  #newReconcile(): Reconcile {
    return new Reconcile(this.#id, {
      ...this.#deps,
      applier: this.#applier,
      catchUp: async () => void (await this.#catchUp()),
    });
  }

  #reconcileIfDue(sync: Sync): void {
    const { clock, reconcileHours, logger } = this.#deps;
    if (this.#reconciling || clock.now() < this.#reconcileNotBefore) return;
    const finishedAt = sync.runFinishedAt?.getTime() ?? null;
    const isDue =
      reconcileHours > 0 && finishedAt !== null && clock.now() - finishedAt > reconcileHours * 3_600_000;
    if (sync.rereadBecause === null && finishedAt !== null && !isDue) return;
    this.#reconciling = this.#newReconcile()
      .run(this.#closing.signal)
      .then((found) => {
        this.#reconcileFailures = 0;
        logger.info({ sync: this.#id, found }, 'a sync has read its table again');
      })
      .catch(async (error: unknown) => {
        this.#reconcileFailures += 1;
        this.#reconcileNotBefore =
          clock.now() + Math.min(maxRetryMs, minRetryMs * 2 ** this.#reconcileFailures);
        if (!(await this.#goesOnAfter(error))) this.#closing.abort();
      })
      .finally(() => {
        this.#reconciling = null;
      });
  }
}

/** Whether fields have to be looked at, or the table has to be read again, before the copy is whole. */
function isIncomplete({ schemaOutdated, rereadBecause, runFinishedAt }: Sync): boolean {
  return schemaOutdated || rereadBecause !== null || runFinishedAt === null;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch(() => undefined);
}
