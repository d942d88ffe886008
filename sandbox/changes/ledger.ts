import type { Clock } from '../clock.ts';
import type { Collection } from '../state/collection.ts';
import type { State } from '../state/state.ts';
import type { CellsByFieldId, Transaction } from './transaction.ts';

/** Entries kept of each list; older ones go and are only counted. */
export const MAX_LEDGER_ENTRIES = 200_000;

/** One record that one transaction created, updated or destroyed. */
export interface LedgerChange {
  /** From 1, over all bases, without holes. */
  sequence: number;
  baseId: string;
  tableId: string;
  recordId: string;
  kind: 'created' | 'updated' | 'destroyed';
  /** baseTransactionNumber. */
  transaction: number;
  /** ISO. */
  timestamp: string;
  /** V2 cells by field id as the change left them; null where a cell was emptied, `{}` when destroyed. */
  fields: CellsByFieldId;
}

/** One write request that took effect, whatever became of its answer. */
export interface LedgerWrite {
  sequence: number;
  endpoint: string;
  baseId: string;
  tableId: string;
  recordIds: string[];
  /** ISO. */
  at: string;
}

/**
 * The ordered truth about what happened, to compare others with. The two lists live in memory and start anew with the
 * process; only the transaction numbers are part of the state.
 */
export class Ledger {
  private readonly changeList: LedgerChange[] = [];
  private readonly writeList: LedgerWrite[] = [];
  private readonly listeners: ((transaction: Transaction) => void)[] = [];
  private readonly numbers: Collection<{ number: number }>;
  private changeSequence = 0;
  private writeSequence = 0;

  constructor(
    state: State,
    private readonly clock: Clock,
  ) {
    this.numbers = state.collection('transactionNumbers');
  }

  /** Takes the next transaction number of the base. Each one taken has to be appended. */
  nextNumber(baseId: string): number {
    const number = (this.numbers.get(baseId)?.number ?? 0) + 1;
    this.numbers.put(baseId, { number });
    return number;
  }

  /** Writes a transaction down and tells the listeners, in the order they were added. */
  append(transaction: Transaction): void {
    for (const [tableId, table] of Object.entries(transaction.changedTablesById)) {
      for (const [recordId, created] of Object.entries(table.createdRecordsById ?? {})) {
        this.addChange(transaction, tableId, recordId, 'created', created.cellValuesByFieldId);
      }
      for (const [recordId, changed] of Object.entries(table.changedRecordsById ?? {})) {
        const fields = { ...changed.unchanged.cellValuesByFieldId, ...changed.current.cellValuesByFieldId };
        this.addChange(transaction, tableId, recordId, 'updated', fields);
      }
      for (const recordId of table.destroyedRecordIds ?? []) {
        this.addChange(transaction, tableId, recordId, 'destroyed', {});
      }
    }
    for (const [tableId, table] of Object.entries(transaction.createdTablesById ?? {})) {
      for (const [recordId, created] of Object.entries(table.recordsById)) {
        this.addChange(transaction, tableId, recordId, 'created', created.cellValuesByFieldId);
      }
    }
    for (const listener of this.listeners) listener(transaction);
  }

  onTransaction(listener: (transaction: Transaction) => void): void {
    this.listeners.push(listener);
  }

  recordWrite(write: Omit<LedgerWrite, 'sequence' | 'at'>): void {
    this.writeSequence += 1;
    this.writeList.push({ sequence: this.writeSequence, ...write, at: this.clock.iso() });
    dropOldest(this.writeList);
  }

  /** Oldest first; a sequence above 1 at the head tells how many have been dropped. */
  changes(): LedgerChange[] {
    return this.changeList.slice(-MAX_LEDGER_ENTRIES);
  }

  writes(): LedgerWrite[] {
    return this.writeList.slice(-MAX_LEDGER_ENTRIES);
  }

  /** How many entries are no longer listed. */
  get dropped(): { changes: number; writes: number } {
    return {
      changes: Math.max(0, this.changeSequence - MAX_LEDGER_ENTRIES),
      writes: Math.max(0, this.writeSequence - MAX_LEDGER_ENTRIES),
    };
  }

  /** Forgets both lists; listeners stay. */
  reset(): void {
    this.changeList.length = 0;
    this.writeList.length = 0;
    this.changeSequence = 0;
    this.writeSequence = 0;
  }

  private addChange(
    transaction: Transaction,
    tableId: string,
    recordId: string,
    kind: LedgerChange['kind'],
    fields: CellsByFieldId,
  ): void {
    const { baseId, number, timestamp } = transaction;
    this.changeSequence += 1;
    this.changeList.push({
      sequence: this.changeSequence,
      baseId,
      tableId,
      recordId,
      kind,
      transaction: number,
      timestamp,
      fields,
    });
    dropOldest(this.changeList);
  }
}

/** Shifting one by one would move the whole array each time: let it overrun by a tenth, then cut. */
function dropOldest(list: unknown[]): void {
  if (list.length > MAX_LEDGER_ENTRIES * 1.1) list.splice(0, list.length - MAX_LEDGER_ENTRIES);
}
