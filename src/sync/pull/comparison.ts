import type { EntityManager } from 'typeorm';
import type { WireRecord } from '../../calendly/wire.ts';
import type { Clock } from '../../clock.ts';
import type { Sync } from '../sync.ts';
import type { SyncLease } from '../sync-lease.ts';
import { differingRows } from '../target/row-comparison.ts';
import { sameCells } from '../values/column-types.ts';
import { forgetVanished } from '../target/vanished-rows.ts';
import type { Cells, RecordNews } from '../values/row-writes.ts';
import { applyRecords } from './apply-records.ts';
import { newsOfRecord } from './fill.ts';

/** Records that are looked at, or repaired, in one transaction; and suspects of one reader that are kept in memory. */
export const batchSize = 500;

/** What one reader has read and not judged yet. */
interface Suspects {
  records: Map<string, WireRecord>;
  /** Ids of the records that the log has told of since the oldest of the suspects was asked for. */
  touched: Set<string>;
}

export interface ComparisonDeps {
  lease: SyncLease;
  clock: Clock;
  /** Applies all that the upstream can tell of at the call. */
  catchUp: () => Promise<void>;
}

/**
 * Holds records that were read against the copy, and rows against their records, while the log is applied beside it. A
 * record that is another than the copy has may simply have changed: so it is suspected first, and only judged once
 * everything was applied that the upstream can tell of by then. If the log has told of it meanwhile, the log is right; else
 * a change was missed, and is repaired.
 *
 * Each reader (a slice, or a search for what is missing) reads one page after the other: begin, then for each page
 * `compare`, then `end`.
 */
export class Comparison {
  readonly #deps: ComparisonDeps;
  readonly #readers = new Map<string, Suspects>();
  #found = 0;

  constructor(deps: ComparisonDeps) {
    this.#deps = deps;
  }

  /** How many records differed. */
  get found(): number {
    return this.#found;
  }

  /** The log tells of these, and is about to be applied. */
  touch(recordIds: readonly string[]): void {
    for (const { touched } of this.#readers.values()) for (const id of recordIds) touched.add(id);
  }

  /** What the reader had not judged is forgotten: it reads it again. */
  begin(reader: string): void {
    this.#readers.set(reader, { records: new Map(), touched: new Set() });
  }

  /** Marks what was read as seen. @param also what else belongs into the same transaction */
  async compare(
    reader: string,
    records: readonly WireRecord[],
    also?: (sql: EntityManager) => Promise<void>,
  ): Promise<void> {
    const suspects = this.#readers.get(reader);
    if (!suspects) throw new Error(`The reader ${reader} has not begun.`);
    await this.#deps.lease.transaction(async (sql, sync) => {
      const differing = await this.#differing(sql, sync, records);
      for (const record of differing) suspects.records.set(record.id, record);
      await also?.(sql);
    });
    if (suspects.records.size >= batchSize) await this.#judge(suspects);
    else if (suspects.records.size === 0) suspects.touched.clear();
  }

  /** The reader has read everything. */
  async end(reader: string): Promise<void> {
    const suspects = this.#readers.get(reader);
    if (suspects) await this.#judge(suspects);
    this.#readers.delete(reader);
  }

  /** In the caller's transaction: brings copy and row in step with these, and counts them. */
  async repair(sql: EntityManager, sync: Sync, news: readonly RecordNews[]): Promise<void> {
    if (news.length === 0) return;
    this.#found += news.length;
    await applyRecords(sql, sync, news, { seenRun: sync.run, always: true, now: this.#now() });
    await sql.query('UPDATE syncs SET drift_found = coalesce(drift_found, 0) + $2 WHERE id = $1', [
      sync.id,
      news.length,
    ]);
  }

  async #judge({ records, touched }: Suspects): Promise<void> {
    if (records.size > 0) await this.#deps.catchUp();
    const all = [...records.values()];
    for (let from = 0; from < all.length; from += batchSize) {
      await this.#deps.lease.transaction(async (sql, sync) => {
        const missed = all.slice(from, from + batchSize).filter(({ id }) => !touched.has(id));
        const now = this.#now();
        await this.repair(
          sql,
          sync,
          missed.map((record) => newsOfRecord(record, now)),
        );
      });
    }
    records.clear();
    touched.clear();
  }

  /** @returns records that the copy has otherwise; a row that is not what its record says is repaired at once */
  async #differing(sql: EntityManager, sync: Sync, records: readonly WireRecord[]): Promise<WireRecord[]> {
    const ids = records.map(({ id }) => id);
    await forgetVanished(sql, sync, ids);
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
      [sync.id, ids],
    );
    const known = new Map(rows.map((row) => [row.id, row]));
    const isSame = (record: WireRecord) => {
      const row = known.get(record.id);
      return (
        row?.createdTime.getTime() === Date.parse(record.createdTime) && sameCells(row.cells, record.fields)
      );
    };
    const equal = records.filter(isSame);
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
    await this.repair(
      sql,
      sync,
      equal.filter(({ id }) => wrong.has(id)).map((record) => newsOfRecord(record, changedAt)),
    );
    await sql.query('UPDATE copied_records SET seen_run = $3 WHERE sync_id = $1 AND record_id = ANY($2)', [
      sync.id,
      ids,
      sync.run,
    ]);
    return records.filter((record) => !isSame(record));
  }

  #now(): Date {
    return new Date(this.#deps.clock.now());
  }
}
