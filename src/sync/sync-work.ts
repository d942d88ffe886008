import { setTimeout as wait } from 'node:timers/promises';
import type { ChangeFeeds } from '../changes/change-feeds.ts';
import type { ChangeLog } from '../changes/change-log.ts';
import { stillDrainedAt } from '../changes/drained-at.ts';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { failuresUntilTold, inWords, Obstacles } from './obstacles.ts';
import { fill } from './pull/fill.ts';
import { Following } from './pull/following.ts';
import { LogApplier } from './pull/log-applier.ts';
import { TooMuchMissing } from './pull/missing-records.ts';
import { reconcile } from './pull/reconcile.ts';
import { ReconcileWhenDue } from './pull/reconcile-when-due.ts';
import { ParkedRetries, retryParked } from './pull/retry-parked.ts';
import { finishRun } from './pull/stored-run.ts';
import type { UpstreamTable } from './pull/upstream-table.ts';
import { hasLeft } from './push/in-flight.ts';
import type { SyncPush } from './push/sync-push.ts';
import type { Sync, SyncPauseReason } from './sync.ts';
import { SyncLost, type HeldSync, type SyncLease } from './sync-lease.ts';
import { FieldChanges } from './target/field-changes.ts';
import { rewriteRows } from './target/rewrite-rows.ts';
import { misfitOf } from './target/target-table.ts';

/** How often one looks for news without being woken. */
const lookIntervalMs = 1_000;

/** Bounds of the wait after a failure; it doubles with each in a row. */
const minRetryMs = 500;
const maxRetryMs = 60_000;

/** Changes were last pulled so long ago that it is told why, in milliseconds: they should be every 20 s. */
const staleAfterMs = 60_000;

export interface SyncWorkDeps {
  lease: SyncLease;
  log: ChangeLog;
  feeds: ChangeFeeds;
  table: UpstreamTable;
  drainedAt: (feedId: number) => Promise<Date | null>;
  drainNow: (feedId: number) => Promise<Date | null>;
  drainProblem: (feedId: number) => Promise<string | null>;
  /** Hours after which a table is read again, to find what differs; 0 for never. */
  reconcileHours: number;
  /** Unless the lease is lost. */
  pause: (lease: HeldSync, because: SyncPauseReason, problem: string) => Promise<void>;
  /** Begins to send what is changed in the target. */
  push: (lease: SyncLease, obstacles: Obstacles) => SyncPush;
  clock: Clock;
  logger: Logger;
}

/**
 * The work on one sync while this process holds its lease: the first fill, then the log as it grows, changes of the schema
 * and the reconcile beside it. It ends when the lease is lost; should the sync come back, other work begins on it.
 */
export class SyncWork {
  /** Fulfilled when the work has ended. Never rejects. */
  readonly ended: Promise<void>;
  readonly #id: string;
  readonly #deps: SyncWorkDeps;
  readonly #applier: LogApplier;
  readonly #following: Following;
  readonly #fields: FieldChanges;
  readonly #reconciles: ReconcileWhenDue;
  readonly #parked: ParkedRetries;
  readonly #obstacles: Obstacles;
  readonly #closing = new AbortController();
  #push: SyncPush | null = null;
  #hasBegunPush = false;

  constructor(deps: SyncWorkDeps) {
    const { signal } = this.#closing;
    this.#id = deps.lease.id;
    this.#deps = deps;
    this.#obstacles = new Obstacles(deps.lease);
    this.#fields = new FieldChanges({ ...deps, obstacles: this.#obstacles }, signal);
    this.#applier = new LogApplier(
      { ...deps, followFields: (sync) => this.#fields.followIfFree(sync) },
      signal,
    );
    const shared = { ...deps, applier: this.#applier, obstacles: this.#obstacles };
    this.#following = new Following(shared, signal);
    this.#parked = new ParkedRetries(deps.lease, () => this.#now());
    this.#reconciles = new ReconcileWhenDue(this.#id, {
      ...shared,
      reconcile: () => this.#reconcile(),
      goesOnAfter: (error) => this.#goesOnAfter(error),
      end: () => this.#closing.abort(),
    });
    this.ended = this.#run();
  }

  /** The lease under which it works. */
  get lease(): HeldSync {
    return this.#deps.lease;
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
        await this.#obstacles.note('work', null);
      } catch (error) {
        failures += 1;
        if (!(await this.#goesOnAfter(error))) break;
        // What the database refuses to be told is in the log.
        if (failures >= failuresUntilTold)
          await this.#obstacles.note('work', inWords(error)).catch(() => undefined);
        await pause(Math.min(maxRetryMs, minRetryMs * 2 ** (failures - 1)), signal);
      }
    }
    this.#closing.abort();
    await Promise.all([this.#reconciles.idle, this.#push?.close()]);
    this.#following.close();
  }

  /** @returns whether it is to be tried again */
  async #goesOnAfter(error: unknown): Promise<boolean> {
    if (error instanceof SyncLost || this.#closing.signal.aborted) return false;
    const { lease, logger, pause } = this.#deps;
    logger.warn({ err: error, sync: this.#id }, 'work on a sync failed; it will be tried again');
    const stop = stopOf(error);
    if (stop === null) return true;
    await pause(lease, stop.because, stop.problem).catch(() => undefined);
    return false;
  }

  async #step(): Promise<void> {
    const { lease } = this.#deps;
    const sync = await lease.read();
    if (sync.state === 'filling') return this.#fill(sync);
    const reader = await this.#following.reader(sync);
    await this.#beginPush(sync);
    // In this order: what the last pull has found is in the log, and is applied before that is said.
    const drainedAt = await this.#deps.drainedAt(sync.feedId);
    await this.#applier.toEnd();
    await this.#noteAsOf(sync, drainedAt);
    let now = await lease.read();
    if (now.schemaOutdated && !this.#fields.isWaiting) {
      await this.#fields.follow(now);
      now = await lease.read();
    }
    if (now.rowsOutdated) await rewriteRows(lease, () => this.#now());
    await this.#parked.look();
    // Read again is what the columns are there for: a field that is gone would be read as empty.
    if (!now.schemaOutdated) this.#reconciles.look(now);
    await reader.grown(now.position, this.#deps.clock.lookEveryMs ?? lookIntervalMs, this.#closing.signal);
  }

  /** Also of a sync that has turned to a pull, while it is not known what became of all that it has sent. */
  async #beginPush({ id, direction }: Sync): Promise<void> {
    if (this.#hasBegunPush) return;
    const { lease } = this.#deps;
    if (direction !== 'pull' || (await hasLeft(lease.sql, id)))
      this.#push = this.#deps.push(lease, this.#obstacles);
    // Turning gives the lease away: for as long as it is held, this does not change.
    this.#hasBegunPush = true;
  }

  async #fill(sync: Sync): Promise<void> {
    const { lease, logger, table } = this.#deps;
    const { signal } = this.#closing;
    const followed = sync.schemaOutdated ? await this.#fields.follow(sync) : null;
    if (sync.runFinishedAt === null && sync.runKind !== 'reconcile') {
      await fill(this.#deps, followed ?? (await table.schema(sync, signal)), signal);
      await lease.transaction((sql, read) => finishRun(sql, read, this.#now()));
    }
    // Only now, since following takes calls as well. Should the webhook be gone, it is made again for those who follow.
    await this.#following.reader(sync);
    let drainedAt = await this.#following.catchUp();
    for (let now = await lease.read(); isIncomplete(now); now = await lease.read()) {
      if (now.schemaOutdated) {
        // Nothing is told of a copy that lacks fields: there is nothing else to do meanwhile.
        if (!(await this.#fields.follow(now))) await pause(lookIntervalMs, signal);
        signal.throwIfAborted();
        continue;
      }
      // Changes were lost meanwhile, or fields have changed: what was read before is not what there is.
      await this.#reconcile();
      drainedAt = await this.#following.catchUp();
    }
    if ((await lease.read()).rowsOutdated) await rewriteRows(lease, () => this.#now());
    // A row may name one that was read after it.
    await retryParked(lease, () => this.#now());
    await lease.transaction((sql) =>
      sql.query(`UPDATE syncs SET state = 'live', as_of = ${stillDrainedAt('$2', 'feed_id')} WHERE id = $1`, [
        this.#id,
        drainedAt,
      ]),
    );
    logger.info({ sync: this.#id }, 'a sync has read its table, and follows it from now on');
  }

  /** While something is known to be missing, neither the copy nor the target is what the upstream had. */
  async #noteAsOf({ feedId, asOf }: Sync, drainedAt: Date | null): Promise<void> {
    const isStale = asOf !== null && this.#deps.clock.now() - asOf.getTime() > staleAfterMs;
    await this.#obstacles.note('changes', isStale ? await this.#deps.drainProblem(feedId) : null);
    if (drainedAt === null) return;
    await this.#deps.lease.sql.query(
      `UPDATE syncs SET as_of = ${stillDrainedAt('$2', 'feed_id')} WHERE id = $1 AND state = 'live' AND as_of < $2 AND NOT schema_outdated AND NOT rows_outdated
         AND coalesce(reread_because, '') NOT IN ('CHANGES_LOST', 'FIELDS_CHANGED')
         AND NOT (run_finished_at IS NULL AND coalesce(run_because, '') IN ('CHANGES_LOST', 'FIELDS_CHANGED'))
         AND lease_number = $3`,
      [this.#id, drainedAt, this.#deps.lease.number],
    );
  }

  #reconcile(): Promise<number> {
    const deps = {
      ...this.#deps,
      applier: this.#applier,
      catchUp: async () => void (await this.#following.catchUp()),
    };
    return reconcile(deps, this.#closing.signal);
  }

  #now(): Date {
    return new Date(this.#deps.clock.now());
  }
}

/** What a sync can not go on after by itself; null when it is worth another try. */
function stopOf(error: unknown): { because: SyncPauseReason; problem: string } | null {
  if (error instanceof TooMuchMissing) return { because: 'RECORDS_MISSING', problem: error.message };
  if (error instanceof AppError && error.code === 'TABLE_NOT_FOUND')
    return { because: 'TABLE_GONE', problem: error.message };
  if (error instanceof AppError && error.code === 'TARGET_UNFIT')
    return { because: 'TARGET_GONE', problem: error.message };
  const misfit = misfitOf(error);
  return misfit === null ? null : { because: 'TARGET_GONE', problem: misfit };
}

/** Whether fields have to be looked at, or the table has to be read again, before the copy is whole. */
function isIncomplete({ schemaOutdated, rereadBecause, runFinishedAt }: Sync): boolean {
  return schemaOutdated || rereadBecause !== null || runFinishedAt === null;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch(() => undefined);
}
