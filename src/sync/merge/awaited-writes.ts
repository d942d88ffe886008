import type { MappedColumn } from '../sync.ts';
import type { Cells } from '../values/row-writes.ts';
import { sameFieldCell } from '../values/same-cell.ts';

/** Something that was sent and that the log has not shown yet. */
export interface InFlight {
  id: string;
  kind: 'create' | 'update' | 'delete';
  state: 'sending' | 'written' | 'unknown';
  /** By field id, null for cells that are emptied. */
  cells: Cells;
  /** What the upstream was believed to hold there before. */
  believed: Cells;
  /** The same cells as the upstream has answered that it keeps them; null without an answer. */
  answered: Cells | null;
}

/** What was sent of one record and is still to be recognised in what the upstream tells, cell by cell. */
export class AwaitedWrites {
  /** Ids of what has been recognised whole. */
  readonly seen: string[] = [];
  readonly #columns: readonly MappedColumn[];
  /** Oldest first, with the fields of each that are still to be seen. */
  #writes: { write: InFlight; fields: Set<string> }[];

  constructor(columns: readonly MappedColumn[], inFlight: readonly InFlight[]) {
    this.#columns = columns;
    this.#writes = inFlight.map((write) => ({ write, fields: new Set(Object.keys(write.cells)) }));
  }

  /** Whether the deletion of the record is among them. */
  get deletes(): boolean {
    return this.#writes.some(({ write }) => write.kind === 'delete');
  }

  /** Ids of all fields that were sent. */
  get fields(): string[] {
    return this.#writes.flatMap(({ write }) => Object.keys(write.cells));
  }

  /** Whether a record that was read after them shows all of them: each was answered, and is there. */
  isShownBy(cells: Cells): boolean {
    return this.#writes.every(
      ({ write: { kind, state, cells: sent, answered } }) =>
        kind === 'update' &&
        state === 'written' &&
        Object.keys(sent).every((id) => this.#isSame(id, cells[id], answered?.[id] ?? sent[id])),
    );
  }

  /**
   * @returns the cells among the changed that hold what was sent from here, as it was sent. Whatever was sent before has
   * been seen as well.
   */
  echoed(remote: Cells, changed: readonly string[]): Cells {
    const echoed: Record<string, unknown> = {};
    for (const id of changed) {
      const place = this.#writes.findIndex(
        ({ write, fields }) =>
          fields.has(id) &&
          (this.#isSame(id, remote[id], write.cells[id]) ||
            (write.answered !== null && this.#isSame(id, remote[id], write.answered[id]))),
      );
      if (place < 0) continue;
      echoed[id] = this.#writes[place]?.write.cells[id] ?? null;
      for (const { fields } of this.#writes.slice(0, place + 1)) fields.delete(id);
    }
    this.#see(({ kind }, fields) => kind === 'update' && fields.size === 0);
    return echoed;
  }

  /** Nothing more will be told of the record. */
  end(): void {
    this.#see(() => true);
  }

  #see(isSeen: (write: InFlight, fields: ReadonlySet<string>) => boolean): void {
    for (const { write, fields } of this.#writes) if (isSeen(write, fields)) this.seen.push(write.id);
    this.#writes = this.#writes.filter(({ write, fields }) => !isSeen(write, fields));
  }

  #isSame(fieldId: string, a: unknown, b: unknown): boolean {
    return sameFieldCell(this.#columns, fieldId, a, b);
  }
}
