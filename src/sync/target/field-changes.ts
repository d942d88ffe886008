import type { Clock } from '../../clock.ts';
import { keepsShapes, type FieldShapes } from '../../records/copies/field-shapes.ts';
import type { TableSchema } from '../../bases/table-schema.ts';
import type { Logger } from '../../logger.ts';
import type { Obstacles } from '../obstacles.ts';
import { keepOrders } from '../pull/stored-run.ts';
import type { UpstreamTable } from '../pull/upstream-table.ts';
import { targetName, type Sync } from '../sync.ts';
import { SyncLost, type SyncLease } from '../sync-lease.ts';
import { fillColumns } from './fill-columns.ts';
import { followSchema, TargetBusy } from './follow-schema.ts';
import { quotedTable } from './identifiers.ts';

/** Bounds of the pause after others did not let the table be altered, in milliseconds; it doubles with each time in a row. */
const minPauseMs = 2_000;
const maxPauseMs = 60_000;

/** Who holds the table is named up to here. */
const maxHolders = 3;

export interface FieldChangesDeps {
  lease: SyncLease;
  table: UpstreamTable;
  obstacles: Obstacles;
  clock: Clock;
  logger: Logger;
}

/** Brings the columns of one sync in step with the fields of its table, as soon as others let it. */
export class FieldChanges {
  readonly #id: string;
  readonly #deps: FieldChangesDeps;
  readonly #signal: AbortSignal;
  #last: Promise<unknown> = Promise.resolve();
  #pauseMs = minPauseMs;
  /** By `performance.now()`. */
  #notBefore = 0;
  /** The same for pages of the log, which do not wait for an upstream that fails. */
  #pagesNotBefore = 0;

  constructor(deps: FieldChangesDeps, signal: AbortSignal) {
    this.#id = deps.lease.id;
    this.#deps = deps;
    this.#signal = signal;
  }

  /** Whether others were in the way a moment ago. */
  get isWaiting(): boolean {
    return performance.now() < this.#notBefore;
  }

  /**
   * Reads the fields and follows them. One at a time, so that nobody follows an older schema after a newer one.
   * @returns what was read; null where others use the table for too long, and what was begun is undone
   */
  follow(sync: Sync): Promise<TableSchema | null> {
    const followed = this.#last.then(async () => {
      const schema = await this.#deps.table.schema(sync, this.#signal);
      if (!(await this.#isFollowed(schema))) return null;
      this.#deps.logger.info({ sync: this.#id }, 'a sync follows changes of the fields');
      return schema;
    });
    this.#last = followed.catch(() => undefined);
    return followed;
  }

  /**
   * The same between two pages of the log, which goes on where that fails: the next step tries again, and tells what is in
   * the way.
   */
  async followIfFree(sync: Sync): Promise<void> {
    if (this.isWaiting || performance.now() < this.#pagesNotBefore) return;
    await this.follow(sync).catch((error: unknown) => {
      if (error instanceof SyncLost) throw error;
      this.#pagesNotBefore = performance.now() + maxPauseMs;
    });
  }

  async #isFollowed(schema: TableSchema): Promise<boolean> {
    const { lease, obstacles } = this.#deps;
    try {
      await this.#follow(schema);
    } catch (error) {
      if (!(error instanceof TargetBusy)) throw error;
      await obstacles.note('fields', await this.#whoHolds(await lease.read()));
      this.#notBefore = performance.now() + this.#pauseMs;
      this.#pauseMs = Math.min(maxPauseMs, this.#pauseMs * 2);
      return false;
    }
    this.#pauseMs = minPauseMs;
    this.#pagesNotBefore = 0;
    await obstacles.note('fields', null);
    return true;
  }

  async #follow(schema: TableSchema): Promise<void> {
    const { lease, clock } = this.#deps;
    await lease.transaction(async (sql, current) => {
      const now = new Date(clock.now());
      const followed = await followSchema(sql, current, schema, now);
      await fillColumns(sql, current, followed.columns, now);
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
  }

  async #whoHolds(sync: Sync): Promise<string> {
    const holders = await this.#deps.lease.sql.query<
      { pid: number; role: string | null; since: Date | null }[]
    >(
      `SELECT l.pid, a.usename AS role, a.xact_start AS since FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
       WHERE l.relation = to_regclass($1) AND l.granted AND l.pid <> pg_backend_pid()
       GROUP BY 1, 2, 3 ORDER BY a.xact_start NULLS LAST LIMIT $2`,
      [quotedTable(sync), maxHolders],
    );
    const named = holders.map(
      ({ pid, role, since }) =>
        `process ${pid}${role === null ? '' : ` of ${role}`}${since === null ? '' : ` since ${since.toISOString()}`}`,
    );
    const who = named.length === 0 ? 'somebody' : named.join(', ');
    return `Fields have changed, and the columns of ${targetName(sync)} can not follow yet: ${who} holds the table. It is tried again until that transaction has ended.`;
  }
}
