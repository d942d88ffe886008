import type { EntityManager } from 'typeorm';
import type { WireRecord } from '../../calendly/wire.ts';
import { fieldShapes } from '../../records/copies/field-shapes.ts';
import { applyRecords } from './apply-records.ts';
import { sameCells } from '../values/column-types.ts';
import { captureAlone } from '../push/capture.ts';
import { newsOfRecord, type FillDeps } from './fill.ts';
import type { LogApplier } from './log-applier.ts';
import { listParked } from '../target/parked-records.ts';
import type { Cells, RecordNews } from '../values/row-writes.ts';
import type { Slice } from './slices.ts';
import { beginRun, countPage, finishRun } from './stored-run.ts';
import type { Sync } from '../sync.ts';
import { readTable, type PageCount } from './table-reading.ts';
import { deleteRows, differingRows } from '../target/target-rows.ts';

/** Records that are looked at in one transaction. */
const batchSize = 500;

interface SliceUnderWay {
  suspects: Map<string, WireRecord>;
  /** Ids of the records that the log has told of since the slice began. */
  touched: Set<string>;
}

function freshSlice(): SliceUnderWay {
  return { suspects: new Map(), touched: new Set() };
}

export interface ReconcileDeps extends FillDeps {
  applier: LogApplier;
  /** Applies all that the upstream can tell of at the call. */
  catchUp: () => Promise<void>;
}

/**
 * Reads the whole table again, while the log is applied beside it, and repairs what differs. A record that was read and
 * is another than the copy has may simply have changed: so it is suspected first, and only judged when the slice was read
 * and everything that the upstream has told by then was applied. If the log has told of it meanwhile, the log is right;
 * else a change was missed. Records that no slice had and that the log has not told of since are gone upstream.
 */
export class Reconcile {
  readonly #id: string;
  readonly #deps: ReconcileDeps;
  readonly #slices = new Map<number, SliceUnderWay>();
  #found = 0;

  constructor(id: string, deps: ReconcileDeps) {
    this.#id = id;
    this.#deps = deps;
  }

  /** @returns how many records differed */
  async run(signal: AbortSignal): Promise<number> {
    const { leases, applier, table, clock, catchUp } = this.#deps;
    const shapes = fieldShapes(await table.schema(await leases.read(this.#id), signal));
    await leases.transaction(this.#id, (sql, sync) =>
      beginRun(sql, sync, 'reconcile', shapes, new Date(clock.now())),
    );
    const sync = await leases.read(this.#id);
    const end = applier.onTouched((ids) => {
      for (const { touched } of this.#slices.values()) for (const id of ids) touched.add(id);
    });
    try {
      const known = await this.#count(sync);
      await readTable(
        sync,
        {
          begin: (slice) => this.#slices.set(slice.from, freshSlice()),
          page: (slice, records, count) => this.#page(sync, slice, records, count),
        },
        this.#deps,
        signal,
        known,
      );
      await catchUp();
      await this.#sweep(sync);
      await this.#retryParked(sync);
      await leases.transaction(this.#id, async (sql, current) => {
        if (current.direction !== 'pull') await captureAlone(sql, current);
        await finishRun(sql, sync, new Date(clock.now()));
      });
      return this.#found;
    } finally {
      end();
    }
  }

  async #count({ id }: Sync): Promise<number> {
    const [row] = await this.#deps.leases.sql.query<{ count: number }[]>(
      'SELECT count(*)::int AS count FROM copied_records WHERE sync_id = $1',
      [id],
    );
    return row?.count ?? 0;
  }

  async #page(run: Sync, slice: Slice, records: readonly WireRecord[], count: PageCount): Promise<void> {
    const { leases, catchUp } = this.#deps;
    await leases.transaction(this.#id, async (sql, sync) => {
      await this.#compare(sql, sync, slice, records);
      await countPage(sql, run, slice, { ...count, done: false });
    });
    if (!count.done) return;
    const { suspects, touched } = this.#slices.get(slice.from) ?? freshSlice();
    if (suspects.size > 0) await catchUp();
    await leases.transaction(this.#id, async (sql, sync) => {
      const missed = [...suspects.values()].filter(({ id }) => !touched.has(id));
      await this.#repair(
        sql,
        sync,
        missed.map((record) => newsOfRecord(record, this.#now())),
      );
      await countPage(sql, run, slice, { records: 0, calls: 0, restarted: false, done: true });
    });
    this.#slices.delete(slice.from);
  }

  /** Marks what is as it should be as seen, and what is not as suspect; a row that is not what its record says is repaired. */
  async #compare(
    sql: EntityManager,
    sync: Sync,
    slice: Slice,
    records: readonly WireRecord[],
  ): Promise<void> {
    const rows = await sql.query<
      { id: string; createdTime: Date; cells: Cells; rowKey: string[] | null; isBusy: boolean }[]
    >(
      `SELECT c.record_id AS id, c.created_time AS "createdTime", c.cells, c.row_key AS "rowKey",
              EXISTS (SELECT 1 FROM sync_parked AS p WHERE p.sync_id = c.sync_id AND p.record_id = c.record_id)
                OR EXISTS (SELECT 1 FROM sync_pending AS p WHERE p.sync_id = c.sync_id AND p.record_id = c.record_id)
         OR EXISTS (SELECT 1 FROM sync_writes AS w WHERE w.sync_id = c.sync_id AND w.record_id = c.record_id)
         OR s.direction = 'push' AND c.row_key IS NULL AS "isBusy"
       FROM copied_records AS c JOIN syncs AS s ON s.id = c.sync_id
       WHERE c.sync_id = $1 AND c.record_id = ANY($2) ORDER BY c.record_id FOR UPDATE OF c`,
      [sync.id, records.map(({ id }) => id)],
    );
    const known = new Map(rows.map((row) => [row.id, row]));
    const suspects = this.#slices.get(slice.from)?.suspects;
    const equal: WireRecord[] = [];
    for (const record of records) {
      const row = known.get(record.id);
      const isSame =
        row?.createdTime.getTime() === Date.parse(record.createdTime) && sameCells(row.cells, record.fields);
      if (isSame) equal.push(record);
      else suspects?.set(record.id, record);
    }
    const changedAt = this.#now();
    const wrong = await differingRows(
      sql,
      sync,
      equal
        .filter(({ id }) => known.get(id)?.isBusy === false)
        .map(({ id, fields }) => ({
          recordId: id,
          rowKey: known.get(id)?.rowKey ?? null,
          cells: fields,
          changedAt,
        })),
    );
    await this.#repair(
      sql,
      sync,
      equal.filter(({ id }) => wrong.has(id)).map((record) => newsOfRecord(record, changedAt)),
    );
    await sql.query('UPDATE copied_records SET seen_run = $3 WHERE sync_id = $1 AND record_id = ANY($2)', [
      sync.id,
      records.map(({ id }) => id),
      sync.run,
    ]);
  }

  /** Deletes what no slice had. */
  async #sweep({ id, run }: Sync): Promise<void> {
    const { leases } = this.#deps;
    for (let count = batchSize; count === batchSize;) {
      count = await leases.transaction(this.#id, async (sql, sync) => {
        const rows = await sql.query<{ recordId: string }[]>(
          `SELECT record_id AS "recordId" FROM copied_records WHERE sync_id = $1 AND seen_run < $2
           ORDER BY record_id LIMIT $3`,
          [id, run, batchSize],
        );
        const changedAt = this.#now();
        await this.#repair(
          sql,
          sync,
          rows.map(({ recordId }) => ({
            recordId,
            createdTime: null,
            cells: null,
            changedAt,
            entries: [],
            position: null,
          })),
        );
        return rows.length;
      });
    }
  }

  /** The target may take by now what it refused. */
  async #retryParked({ id }: Sync): Promise<void> {
    const { leases } = this.#deps;
    for (let after: string | null = null; ;) {
      const parked = await listParked(leases.sql, id, { after, limit: batchSize });
      if (parked.length === 0) return;
      await leases.transaction(this.#id, async (sql, sync) => {
        const rows = await sql.query<{ recordId: string; createdTime: Date; cells: Cells }[]>(
          `SELECT record_id AS "recordId", created_time AS "createdTime", cells FROM copied_records
           WHERE sync_id = $1 AND record_id = ANY($2)`,
          [id, parked.map(({ recordId }) => recordId)],
        );
        const news: RecordNews[] = rows.map((row) => ({
          ...row,
          changedAt: this.#now(),
          entries: [],
          position: null,
        }));
        await applyRecords(sql, sync, news, { seenRun: sync.run, always: true, now: this.#now() });
        const others = await sql.query<{ recordId: string }[]>(
          `SELECT p.record_id AS "recordId" FROM sync_parked AS p
             JOIN copied_records AS c ON c.sync_id = p.sync_id AND c.row_key = p.row_key
           WHERE p.sync_id = $1 AND p.record_id = ANY($2)`,
          [id, parked.map(({ recordId }) => recordId)],
        );
        const passedOn = new Set(others.map(({ recordId }) => recordId));
        // A row that has become another record's meanwhile is not to go.
        const stuck = parked.filter(({ rowKey, recordId }) => rowKey !== null && !passedOn.has(recordId));
        const held = await deleteRows(
          sql,
          sync,
          stuck.map(({ recordId, rowKey }) => ({ recordId, rowKey: rowKey ?? [] })),
        );
        const still = new Set(held.map(({ recordId }) => recordId));
        const kept = new Set(rows.map(({ recordId }) => recordId));
        // One that is neither remembered nor in the way has nothing left to wait for.
        const over = parked
          .filter(({ recordId }) => !still.has(recordId) && !kept.has(recordId))
          .map(({ recordId }) => recordId);
        await sql.query('DELETE FROM sync_parked WHERE sync_id = $1 AND record_id = ANY($2)', [id, over]);
      });
      after = parked.at(-1)?.recordId ?? null;
    }
  }

  async #repair(sql: EntityManager, sync: Sync, news: readonly RecordNews[]): Promise<void> {
    if (news.length === 0) return;
    this.#found += news.length;
    await applyRecords(sql, sync, news, { seenRun: sync.run, always: true, now: this.#now() });
    await sql.query('UPDATE syncs SET drift_found = coalesce(drift_found, 0) + $2 WHERE id = $1', [
      sync.id,
      news.length,
    ]);
  }

  #now(): Date {
    return new Date(this.#deps.clock.now());
  }
}
