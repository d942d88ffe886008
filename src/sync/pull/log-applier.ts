import type { ChangeLog } from '../../changes/change-log.ts';
import { isPruned } from '../../changes/change-log.ts';
import type { WireRecord } from '../../calendly/wire.ts';
import type { ChangeEntry, LogEntry } from '../../changes/log-entry.ts';
import { comparePositions, type Position } from '../../changes/position.ts';
import type { Clock } from '../../clock.ts';
import { applyRecords } from './apply-records.ts';
import type { RecordNews } from '../values/row-writes.ts';
import type { RereadReason, Sync } from '../sync.ts';
import type { SyncLease } from '../sync-lease.ts';
import type { UpstreamTable } from './upstream-table.ts';
import { lookUpWitnessed, maxAskedFor, witnessCount } from './witnessed-lookup.ts';

export interface LogApplierDeps {
  log: ChangeLog;
  lease: SyncLease;
  table: UpstreamTable;
  /** Brings the columns in step with the fields, unless something is in the way. */
  followFields: (sync: Sync) => Promise<void>;
  clock: Clock;
}

/**
 * Applies the log of the base to one sync, a page at a time: what is remembered of the records, the rows of the target and
 * the position in the log move in one transaction. Pages are applied one after the other, whoever asks. A page ends where
 * fields have changed, or may have, and the columns follow before the next one: of a field that was deleted the cells after
 * that are empty, and its column keeps what it has.
 */
export class LogApplier {
  readonly #id: string;
  readonly #deps: LogApplierDeps;
  readonly #signal: AbortSignal;
  readonly #listeners = new Set<(recordIds: readonly string[]) => void>();
  #last: Promise<void> = Promise.resolve();

  constructor(deps: LogApplierDeps, signal: AbortSignal) {
    this.#id = deps.lease.id;
    this.#deps = deps;
    this.#signal = signal;
  }

  /** Applies everything that is in the log at the call. @throws SyncLost, and what fails on the way */
  toEnd(): Promise<void> {
    const applied = this.#last.then(async () => {
      while (await this.#page());
    });
    this.#last = applied.catch(() => undefined);
    return applied;
  }

  /** Has a listener told, before they are applied, of the records that the log tells of. @returns ends that */
  onTouched(listener: (recordIds: readonly string[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @returns whether there may be more */
  async #page(): Promise<boolean> {
    const { log, lease, clock } = this.#deps;
    const before = await lease.read();
    const page = await log.read(before.feedId, before.position);
    const isLossy = isPruned(before.position, page.pruned);
    const entries = isLossy ? [] : untilFieldsChange(page.entries, before.tableId);
    const last = isLossy ? page.pruned : (entries.at(-1)?.position ?? null);
    if (last === null) return false;
    if (before.schemaOutdated) await this.#deps.followFields(before);
    const { news, isDoubtful } = await this.#complete(before, newsOf(before, entries));
    for (const tell of this.#listeners) tell(news.map(({ recordId }) => recordId));
    const isApplied = await lease.transaction(async (sql, sync) => {
      if (comparePositions(sync.position, before.position) !== 0 || sync.feedId !== before.feedId)
        return false;
      const now = new Date(clock.now());
      await applyRecords(sql, sync, news, { seenRun: sync.run, now });
      const isLost = isLossy || isDoubtful || entries.some(({ kind }) => kind === 'lost');
      const reread = isLost ? 'CHANGES_LOST' : null;
      // What was lost may be changes of fields as well.
      const isSchemaOutdated = isLost || entries.some((entry) => changesFields(entry, sync.tableId));
      await this.#moveOn(sql, last, reread, isSchemaOutdated);
      return true;
    });
    // One that was dropped, because the sync stands elsewhere by now, says nothing about the end.
    return !isApplied || entries.length < page.entries.length || page.hasMore;
  }

  /**
   * Reads what the log does not tell: records whose cells it left out, and those that it should have told of earlier. One
   * that is not there was deleted since, unless the answer can not be believed: then it stays as it is known.
   * @returns `isDoubtful`: whether there was such an answer, so that the table has to be read again
   */
  async #complete(
    sync: Sync,
    news: readonly IncompleteNews[],
  ): Promise<{ news: RecordNews[]; isDoubtful: boolean }> {
    const unknown = await this.#unknownOf(
      sync,
      news
        .filter(({ kind, createdTime }) => kind !== 'deleted' && createdTime === null)
        .map(({ recordId }) => recordId),
    );
    const wanted = news
      .filter(({ kind, cells, recordId }) => kind !== 'deleted' && (cells === null || unknown.has(recordId)))
      .map(({ recordId }) => recordId);
    const { found, doubted } = await this.#lookUp(sync, wanted);
    const asked = new Set(wanted);
    const complete = news.flatMap(({ kind: _kind, ...one }): RecordNews[] => {
      if (doubted.has(one.recordId)) return [];
      if (!asked.has(one.recordId)) return [one];
      const record = found.get(one.recordId);
      const createdTime = record ? new Date(record.createdTime) : null;
      return [{ ...one, cells: record?.fields ?? null, createdTime }];
    });
    return { news: complete, isDoubtful: doubted.size > 0 };
  }

  /** @returns `doubted`: what was not found in an answer that did not have what should be there either */
  async #lookUp(
    sync: Sync,
    ids: readonly string[],
  ): Promise<{ found: Map<string, WireRecord>; doubted: Set<string> }> {
    const found = new Map<string, WireRecord>();
    const doubted = new Set<string>();
    for (let from = 0; from < ids.length; from += maxAskedFor) {
      const some = ids.slice(from, from + maxAskedFor);
      const witnesses = await this.#othersThan(sync, ids);
      const answer = await lookUpWitnessed(this.#deps.table, sync, some, witnesses, this.#signal);
      for (const [id, record] of answer.found) found.set(id, record);
      for (const id of some) if (!answer.isBorneOut && !found.has(id)) doubted.add(id);
    }
    return { found, doubted };
  }

  async #othersThan({ id }: Sync, ids: readonly string[]): Promise<string[]> {
    const rows = await this.#deps.lease.sql.query<{ id: string }[]>(
      'SELECT record_id AS id FROM copied_records WHERE sync_id = $1 AND record_id <> ALL($2) LIMIT $3',
      [id, ids, witnessCount],
    );
    return rows.map((row) => row.id);
  }

  async #unknownOf(sync: Sync, ids: readonly string[]): Promise<Set<string>> {
    if (ids.length === 0) return new Set();
    const rows = await this.#deps.lease.sql.query<{ id: string }[]>(
      'SELECT record_id AS id FROM copied_records WHERE sync_id = $1 AND record_id = ANY($2)',
      [sync.id, ids],
    );
    const known = new Set(rows.map(({ id }) => id));
    return new Set(ids.filter((id) => !known.has(id)));
  }

  async #moveOn(
    sql: { query: (text: string, params: unknown[]) => Promise<unknown> },
    { generation, payload, ordinal }: Position,
    reread: RereadReason | null,
    isSchemaOutdated: boolean,
  ): Promise<void> {
    await sql.query(
      `UPDATE syncs SET generation = $2, payload = $3, ordinal = $4, reread_because = coalesce($5, reread_because),
              schema_outdated = schema_outdated OR $6 WHERE id = $1`,
      [this.#id, generation, payload, ordinal, reread, isSchemaOutdated],
    );
  }
}

/** Cells may be missing of what was not deleted. */
type IncompleteNews = RecordNews & { kind: ChangeEntry['kind'] };

/** What a page tells of a sync's records: of each the last word, since that is the whole record. */
function newsOf({ tableId }: Sync, entries: readonly LogEntry[]): IncompleteNews[] {
  const byId = new Map<string, ChangeEntry[]>();
  for (const entry of entries) {
    if (!isOfRecord(entry, tableId)) continue;
    const told = byId.get(entry.recordId);
    if (told) told.push(entry);
    else byId.set(entry.recordId, [entry]);
  }
  return [...byId].flatMap(([recordId, told]) => {
    const last = told.at(-1);
    if (!last) return [];
    const created = told.findLast(({ recordCreatedAt }) => recordCreatedAt !== null);
    return {
      recordId,
      kind: last.kind,
      createdTime: created?.recordCreatedAt ?? null,
      cells: last.cells,
      changedAt: last.occurredAt,
      entries: told,
      position: last.position,
    };
  });
}

/** The first of them, up to one that tells of a record after fields may have become others. */
function untilFieldsChange(entries: readonly LogEntry[], tableId: string): readonly LogEntry[] {
  const change = entries.findIndex((entry) => entry.kind === 'lost' || changesFields(entry, tableId));
  if (change < 0) return entries;
  const next = entries.findIndex((entry, place) => place > change && isOfRecord(entry, tableId));
  return next < 0 ? entries : entries.slice(0, next);
}

function isOfRecord(entry: LogEntry, tableId: string): entry is ChangeEntry {
  return entry.kind !== 'schema' && entry.kind !== 'lost' && entry.tableId === tableId;
}

function changesFields(entry: LogEntry, tableId: string): boolean {
  return entry.kind === 'schema' && entry.changes.some((change) => change.tableId === tableId);
}
