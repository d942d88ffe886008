import { setTimeout as wait } from 'node:timers/promises';
import type { DataSource, EntityManager } from 'typeorm';
import { syncColumns, syncFromRow, type Sync, type SyncRow } from './sync.ts';
import { ensureCapture } from './push/capture.ts';
import { requireSameKey } from './target/fit-table.ts';
import { readTargetShape, withTypesOf } from './target/target-table.ts';

/** A sync whose process is gone is taken over after this. */
export const leaseSeconds = 15;

/** Transactions of syncs at once, per process. */
const maxAtATime = 3;

/** The sync is no longer ours: it was paused, deleted, or another instance took over. What was under way is dropped. */
export class SyncLost extends Error {}

/**
 * Something can not be done at this moment: somebody is writing to a row, or what was sent is about to be answered. The
 * transaction is undone, which gives its locks away, and tried again.
 */
export class NotYet extends Error {}

/** For so long, in milliseconds, and with such pauses. */
const notYetPatienceMs = 10_000;
const notYetPauseMs = 50;

/** The right of one process to work at syncs, held on their rows by PostgreSQL's clock. */
export class SyncLeases {
  /** For reads that need no lease. */
  readonly sql: Pick<DataSource, 'query'>;
  readonly #database: DataSource;
  readonly #holder: string;
  readonly #queue: (() => void)[] = [];
  #busy = 0;

  /** @param holder a UUID of this process */
  constructor(database: DataSource, holder: string) {
    this.sql = database;
    this.#database = database;
    this.#holder = holder;
  }

  /** Extends what is ours and takes what nobody works at, at most so many. @returns the ids of all that are ours now */
  async claim(limit: number): Promise<string[]> {
    const [rows] = await this.#database.query<[{ id: string }[], number]>(
      `UPDATE syncs SET holder = $1, lease_until = clock_timestamp() + make_interval(secs => $2)
       WHERE id IN (
         SELECT id FROM syncs WHERE state <> 'paused' AND (holder = $1 OR holder IS NULL OR lease_until < clock_timestamp())
         ORDER BY (holder IS NOT DISTINCT FROM $1) DESC, created_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED)
       RETURNING id`,
      [this.#holder, leaseSeconds, limit],
    );
    return rows.map(({ id }) => id);
  }

  /** So that others need not wait for the lease to end. */
  async releaseAll(): Promise<void> {
    await this.#database.query('UPDATE syncs SET holder = NULL, lease_until = NULL WHERE holder = $1', [
      this.#holder,
    ]);
  }

  /** The sync as it is now. @throws SyncLost */
  async read(id: string): Promise<Sync> {
    const [row] = await this.#database.query<SyncRow[]>(
      `SELECT ${syncColumns} FROM syncs AS s WHERE s.id = $1 AND s.holder = $2 AND s.state <> 'paused'`,
      [id, this.#holder],
    );
    if (!row) throw new SyncLost();
    return syncFromRow(row);
  }

  /**
   * Runs a transaction that nobody else's work on the sync can come into, with the types that its columns have now.
   * @param run may throw NotYet, and is then run again
   * @throws SyncLost, NotYet after some seconds, AppError TARGET_UNFIT
   */
  async transaction<T>(id: string, run: (sql: EntityManager, sync: Sync) => Promise<T>): Promise<T> {
    for (const until = performance.now() + notYetPatienceMs; ;) {
      try {
        return await this.#once(id, run);
      } catch (error) {
        if (!(error instanceof NotYet) || performance.now() > until) throw error;
      }
      await wait(notYetPauseMs);
    }
  }

  #once<T>(id: string, run: (sql: EntityManager, sync: Sync) => Promise<T>): Promise<T> {
    return this.#inTurn(() =>
      this.#database.transaction(async (sql) => {
        // Rows that a policy would hide from us must make statements fail: they would be taken for deleted.
        await sql.query('SET LOCAL row_security = off');
        // The lease is extended with it, since whoever extends leases passes over rows that are locked.
        const [[row]] = await sql.query<[SyncRow[], number]>(
          `UPDATE syncs AS s SET lease_until = clock_timestamp() + make_interval(secs => $3)
           WHERE s.id = $1 AND s.holder = $2 AND s.state <> 'paused' RETURNING ${syncColumns}`,
          [id, this.#holder, leaseSeconds],
        );
        if (!row) throw new SyncLost();
        const sync = syncFromRow(row);
        const shape = await readTargetShape(sql, sync);
        const fitted = withTypesOf(sync, shape);
        if (shape) requireSameKey(sync, shape);
        if (shape && shape.oid !== sync.targetOid) await noteTable(sql, fitted, shape.oid);
        return run(sql, fitted);
      }),
    );
  }

  /** Each holds a connection to the database: all syncs at once would leave none to anybody else. */
  async #inTurn<T>(run: () => Promise<T>): Promise<T> {
    if (this.#busy < maxAtATime) this.#busy += 1;
    else await new Promise<void>((resolve) => this.#queue.push(resolve));
    try {
      return await run();
    } finally {
      const next = this.#queue.shift();
      if (next) next();
      else this.#busy -= 1;
    }
  }
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
