import type { Clock } from '../../clock.ts';
import { keepsShapes, type FieldShapes } from '../../records/copies/field-shapes.ts';
import type { TableSchema } from '../../bases/table-schema.ts';
import type { Obstacles } from '../obstacles.ts';
import { keepOrders } from '../pull/stored-run.ts';
import { targetName, type Sync } from '../sync.ts';
import type { SyncLease } from '../sync-lease.ts';
import { fillColumns } from './fill-columns.ts';
import { followSchema, TargetBusy } from './follow-schema.ts';
import { quotedTable } from './identifiers.ts';

/** Bounds of the pause after others did not let the table be altered, in milliseconds; it doubles with each time in a row. */
const minPauseMs = 2_000;
const maxPauseMs = 60_000;

/** Who holds the table is named up to here. */
const maxHolders = 3;

/** Brings the columns of one sync in step with the fields of its table, as soon as others let it. */
export class FieldChanges {
  readonly #id: string;
  readonly #deps: { lease: SyncLease; clock: Clock; obstacles: Obstacles };
  #pauseMs = minPauseMs;
  /** By `performance.now()`. */
  #notBefore = 0;

  constructor(deps: { lease: SyncLease; clock: Clock; obstacles: Obstacles }) {
    this.#id = deps.lease.id;
    this.#deps = deps;
  }

  /** Whether others were in the way a moment ago. */
  get isWaiting(): boolean {
    return performance.now() < this.#notBefore;
  }

  /** @returns false where others use the table for too long; what was begun is undone */
  async follow(schema: TableSchema): Promise<boolean> {
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
