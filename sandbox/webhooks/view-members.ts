import type { Transaction } from '../changes/transaction.ts';
import type { SandboxContext } from '../context.ts';
import { viewShows } from '../records/list.ts';
import type { ScopedView } from './watched-things.ts';

/** What one transaction did to the records that a view shows. */
export interface ViewMoves {
  /** Ids that the view shows now and did not before, new records included. */
  entered: Set<string>;
  stayed: Set<string>;
  /** Ids that it showed before and does not any more, destroyed records included. */
  left: Set<string>;
}

/** Remembers which records a view shows, because a change alone does not tell what the view showed before it. */
export class ViewMembers {
  readonly #members = new Map<string, Set<string>>();

  constructor(private readonly context: Pick<SandboxContext, 'cells' | 'formulas' | 'records'>) {}

  /** Call before the first transaction that is to be judged. */
  watch(scoped: ScopedView): void {
    const { table, view } = scoped;
    if (this.#members.has(view.id)) return;
    const shown = new Set<string>();
    for (const record of this.context.records.of(table.id).values()) {
      if (viewShows(this.context, table, view, record)) shown.add(record.id);
    }
    this.#members.set(view.id, shown);
  }

  /** Judges a transaction and takes it over; once per view and transaction. */
  apply({ table, view }: ScopedView, transaction: Transaction): ViewMoves {
    const moves: ViewMoves = { entered: new Set(), stayed: new Set(), left: new Set() };
    const members = this.#members.get(view.id) ?? new Set<string>();
    this.#members.set(view.id, members);
    const changes = transaction.changedTablesById[table.id];
    const touched = [
      ...Object.keys(changes?.createdRecordsById ?? {}),
      ...Object.keys(changes?.changedRecordsById ?? {}),
      ...(changes?.destroyedRecordIds ?? []),
    ];
    for (const recordId of touched) {
      const record = this.context.records.find(table.id, recordId);
      const shows = record !== undefined && viewShows(this.context, table, view, record);
      const showed = members.has(recordId);
      if (shows) members.add(recordId);
      else members.delete(recordId);
      if (shows && showed) moves.stayed.add(recordId);
      else if (shows) moves.entered.add(recordId);
      else if (showed) moves.left.add(recordId);
    }
    return moves;
  }

  forget(viewId: string): void {
    this.#members.delete(viewId);
  }

  clear(): void {
    this.#members.clear();
  }
}
