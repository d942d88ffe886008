import { merge, type CellConflict } from './merge.ts';
import { isSent } from '../values/row-cells.ts';
import type { Cells } from '../values/row-writes.ts';
import { sameCell, sameFieldCell } from '../values/same-cell.ts';
import { AwaitedWrites, type InFlight } from './awaited-writes.ts';
import type { ConflictPolicy, MappedColumn } from '../sync.ts';

/** One thing that became known of a record: an entry of the log, or the record as it was read. */
export type Step =
  | { kind: 'changed'; cells: Cells; changed: readonly string[]; previous: Cells }
  | { kind: 'read'; cells: Cells }
  | { kind: 'deleted' };

/** Where one side deleted what the other had changed. */
export type DeletionConflict = {
  kind: 'deleted_by_omnera' | 'deleted_by_calendly';
  /** What the other side had changed. */
  cells: CellConflict[];
};

export interface MergedRecord {
  /** What becomes of the row. `put` writes the columns in `take`, or all of them where `take` is null. */
  row: 'leave' | 'put' | 'delete';
  take: Set<string> | null;
  conflicts: CellConflict[];
  deletions: DeletionConflict[];
  /** Ids of what was sent and has been seen now. */
  seen: string[];
  /** What has to be looked at afterwards: the record, or its row as a new one since its record is gone. */
  touch: 'record' | 'row' | null;
  /**
   * What the row holds then; null without one. Not always what the upstream holds: a value that ours has overwritten is
   * brought back.
   */
  cells: Cells | null;
  /** Nothing can be said yet, since something of ours is on its way: the record stays as it is known. */
  isHeld: boolean;
}

export interface MergeState {
  columns: readonly MappedColumn[];
  policy: ConflictPolicy;
  /** What both sides held when they last agreed; null for a record that was not known. */
  base: Cells | null;
  /** What the row holds; `deleted` if it was deleted here, null if there never was one. */
  local: Cells | 'deleted' | null;
  /** Oldest first. */
  inFlight: readonly InFlight[];
}

/**
 * What news of one record mean for its row, step by step in the order of the log. Everything is judged by value. What was
 * sent from here is recognised where the log comes to it, cell by cell: it is no news. A change that the log shows before
 * it was made without knowing ours, so it is met like one that came first: as a conflict, which the policy decides.
 */
export function mergeRecord(state: MergeState, steps: readonly Step[]): MergedRecord {
  const record = new RecordInMerge(state);
  for (const step of steps) {
    if (step.kind === 'deleted') record.deleted();
    else if (step.kind === 'changed') record.changed(step);
    else record.read(step.cells);
  }
  return record.end();
}

class RecordInMerge {
  readonly result: MergedRecord = {
    row: 'leave',
    take: new Set(),
    conflicts: [],
    deletions: [],
    seen: [],
    touch: null,
    cells: null,
    isHeld: false,
  };
  readonly #columns: readonly MappedColumn[];
  readonly #policy: ConflictPolicy;
  readonly #awaited: AwaitedWrites;
  #base: Cells | null;
  #local: Cells | 'deleted' | null;

  constructor({ columns, policy, base, local, inFlight }: MergeState) {
    this.#columns = columns;
    this.#policy = policy;
    this.#base = base;
    this.#local = local;
    this.#awaited = new AwaitedWrites(columns, inFlight);
  }

  changed({ cells, changed, previous }: Extract<Step, { kind: 'changed' }>): void {
    const echoed = this.#awaited.echoed(cells, changed);
    // What ours has overwritten without a word about it in the log.
    const hidden = Object.keys(echoed).filter(
      (id) => Object.hasOwn(previous, id) && !this.#isBase(id, previous[id]),
    );
    if (hidden.length > 0) {
      const before = { ...this.#base };
      for (const id of hidden) before[id] = previous[id];
      this.#meet(before, {});
    }
    this.#meet(cells, echoed);
  }

  /** A record that was read may lack what is on its way; what it shows of that is there. */
  read(cells: Cells): void {
    if (!this.#awaited.isShownBy(cells)) {
      this.result.isHeld = true;
      return;
    }
    this.#meet(cells, this.#awaited.echoed(cells, this.#awaited.fields));
    // Should nobody have captured that.
    if (this.#local === 'deleted') this.result.touch = 'record';
  }

  deleted(): void {
    const isOurs = this.#awaited.deletes;
    this.#awaited.end();
    const base = this.#base ?? {};
    const local = this.#local;
    this.#base = null;
    if (local === null || local === 'deleted') {
      this.#local = null;
      this.#leave();
      return;
    }
    const mine = this.#columns
      .filter((column) => isSent(column) && !sameCell(column, base[column.fieldId], local[column.fieldId]))
      .map((column) => ({ column, calendly: null, omnera: local[column.fieldId] ?? null }));
    if (!isOurs && mine.length > 0) this.result.deletions.push({ kind: 'deleted_by_calendly', cells: mine });
    if (isOurs || (mine.length > 0 && this.#policy === 'omnera_wins')) {
      // With what it was to take before, should the upstream have told that in the same moment.
      this.result.touch = 'row';
      return;
    }
    this.result.row = 'delete';
    this.result.touch = null;
    this.#local = null;
  }

  end(): MergedRecord {
    const cells = this.#local === 'deleted' ? null : this.#local;
    return { ...this.result, cells, seen: this.#awaited.seen };
  }

  #leave(): void {
    this.result.row = 'leave';
    this.result.take = new Set();
    this.result.touch = null;
  }

  #meet(remote: Cells, echoed: Cells): void {
    if (this.#local === 'deleted') this.#meetDeleted(remote, echoed);
    else if (this.#local === null) this.#putAll(remote);
    else this.#meetRow(this.#local, remote, echoed);
    this.#base = remote;
  }

  #meetRow(local: Cells, remote: Cells, echoed: Cells): void {
    const { take, keep, conflicts } = merge({
      columns: this.#columns,
      base: this.#base ?? {},
      local,
      remote,
      policy: this.#policy,
      echoed,
    });
    this.result.conflicts.push(...conflicts);
    if (keep.length > 0) this.result.touch = 'record';
    if (take.length === 0) return;
    const taken = { ...local };
    for (const { fieldId } of take) {
      this.result.take?.add(fieldId);
      taken[fieldId] = remote[fieldId];
    }
    this.#local = taken;
    this.result.row = 'put';
  }

  #meetDeleted(remote: Cells, echoed: Cells): void {
    const theirs = this.#columns
      .filter(
        (column) =>
          isSent(column) &&
          !Object.hasOwn(echoed, column.fieldId) &&
          !sameCell(column, this.#base?.[column.fieldId], remote[column.fieldId]),
      )
      .map((column) => ({ column, calendly: remote[column.fieldId] ?? null, omnera: null }));
    if (theirs.length === 0) return;
    this.result.deletions.push({ kind: 'deleted_by_omnera', cells: theirs });
    if (this.#policy === 'calendly_wins') this.#putAll(remote);
  }

  #putAll(remote: Cells): void {
    this.#local = remote;
    this.result.row = 'put';
    this.result.take = null;
    this.result.touch = 'record';
  }

  #isBase(fieldId: string, cell: unknown): boolean {
    return sameFieldCell(this.#columns, fieldId, this.#base?.[fieldId], cell);
  }
}
