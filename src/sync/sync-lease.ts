import { setTimeout as wait } from 'node:timers/promises';
import type { DataSource, EntityManager } from 'typeorm';
import type { Turns } from '../turns.ts';
import { syncColumns, syncFromRow, targetName, type Sync, type SyncRow } from './sync.ts';
import { ensureCapture } from './push/capture.ts';
import { requireSameKey } from './target/fit-table.ts';
import { readTargetShape, sqlState, withTypesOf } from './target/target-table.ts';

/** A sync whose process is gone is taken over after this. */
export const leaseSeconds = 15;

/** The sync is no longer ours: it was paused, deleted, or another instance took over. What was under way is dropped. */
export class SyncLost extends Error {}

/**
 * Something can not be done at this moment: somebody is writing to a row, or what was sent is about to be answered. The
 * transaction is undone, which gives its locks away, and tried again. The message is fit for people.
 */
export class NotYet extends Error {}

/** For so long, in milliseconds, and with such pauses. */
const notYetPatienceMs = 10_000;
const notYetPauseMs = 50;

/** A row of the target that others have locked is waited for so long, in milliseconds: nobody else has the turn meanwhile. */
const rowLockWaitMs = 1_000;

/** A sync that one process works at, and which of the times it is that it was taken. */
export interface HeldSync {
  id: string;
  /** Raised whenever the lease is taken rather than extended. */
  number: number;
}

export interface SyncLeaseDeps {
  database: DataSource;
  /** A UUID of this process. */
  holder: string;
  /** Of the transactions of all syncs. */
  turns: Turns;
}

/**
 * The right to work at one sync, from when it was claimed until it changes hands. What was read under it is not worth
 * anything afterwards, though the same process may hold the sync again: others may have come in between, and have applied
 * more. So the number is compared as well as the holder, and a lease that was lost stays lost.
 */
export class SyncLease {
  readonly id: string;
  readonly number: number;
  /** For reads that need no lease. */
  readonly sql: Pick<DataSource, 'query'>;
  readonly #deps: SyncLeaseDeps;

  constructor({ id, number }: HeldSync, deps: SyncLeaseDeps) {
    this.id = id;
    this.number = number;
    this.sql = deps.database;
    this.#deps = deps;
  }

  /** The sync as it is now. @throws SyncLost */
  async read(): Promise<Sync> {
    const [row] = await this.sql.query<SyncRow[]>(
      `SELECT ${syncColumns} FROM syncs AS s WHERE s.id = $1 AND s.holder = $2 AND s.lease_number = $3 AND s.state <> 'paused'`,
      [this.id, this.#deps.holder, this.number],
    );
    if (!row) throw new SyncLost();
    return syncFromRow(row);
  }

  /**
   * Runs a transaction that nobody else's work on the sync can come into, with the types that its columns have now.
   * @param run may throw NotYet, and is then run again
   * @throws SyncLost, NotYet after some seconds, AppError TARGET_UNFIT
   */
  async transaction<T>(run: (sql: EntityManager, sync: Sync) => Promise<T>): Promise<T> {
    for (const until = performance.now() + notYetPatienceMs; ;) {
      try {
        return await this.#deps.turns.take(() => this.#once(run));
      } catch (error) {
        if (!(error instanceof NotYet) || performance.now() > until) throw error;
      }
      await wait(notYetPauseMs);
    }
  }

  #once<T>(run: (sql: EntityManager, sync: Sync) => Promise<T>): Promise<T> {
    return this.#deps.database.transaction(async (sql) => {
      // The lease is extended with it, since whoever extends leases passes over rows that are locked.
      const [[row]] = await sql.query<[SyncRow[], number]>(
        `UPDATE syncs AS s SET lease_until = clock_timestamp() + make_interval(secs => $4)
         WHERE s.id = $1 AND s.holder = $2 AND s.lease_number = $3 AND s.state <> 'paused' RETURNING ${syncColumns}`,
        [this.id, this.#deps.holder, this.number, leaseSeconds],
      );
      if (!row) throw new SyncLost();
      // Rows that a policy would hide from us must make statements fail: they would be taken for deleted.
      await sql.query(`SET LOCAL row_security = off; SET LOCAL lock_timeout = ${rowLockWaitMs}`);
      const sync = syncFromRow(row);
      try {
        const shape = await readTargetShape(sql, sync);
        const fitted = withTypesOf(sync, shape);
        if (shape) requireSameKey(sync, shape);
        if (shape && shape.oid !== sync.targetOid) await noteTable(sql, fitted, shape.oid);
        return await run(sql, fitted);
      } catch (error) {
        throw sqlState(error) === '55P03' ? rowsLocked(sync, error) : error;
      }
    });
  }
}

function rowsLocked(sync: Sync, cause: unknown): NotYet {
  return new NotYet(
    `Somebody keeps ${targetName(sync)}, or rows that it needs, locked. It is tried again until that transaction has ended.`,
    { cause },
  );
}

/** Another table has the target's name: its changes are captured too, and rows that it lacks are made in it. */
async function noteTable(sql: EntityManager, sync: Sync, oid: number): Promise<void> {
  if (sync.targetOid !== null) await ensureCapture(sql, sync);
  await sql.query('UPDATE syncs SET target_oid = $2, rows_outdated = rows_outdated OR $3 WHERE id = $1', [
    sync.id,
    oid,
    sync.targetOid !== null,
  ]);
}
