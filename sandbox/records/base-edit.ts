import type { FieldDoc, RecordDoc, TableDoc } from '../bases/documents.ts';
import { findField } from '../bases/fields.ts';
import type { ChangeSource, Transaction } from '../changes/transaction.ts';
import type { SandboxContext } from '../context.ts';
import type { User } from '../oauth/grant.ts';
import type { CellChanges } from './cell-input.ts';
import { EditReport } from './edit-report.ts';
import { sameJson } from './same-json.ts';

/** Who edits, and by which way. */
export interface Author {
  source: ChangeSource;
  user: User | null;
}

export interface RecordPlan {
  tableId: string;
  /** As stored now; undefined for a record that the edit creates. */
  before: RecordDoc | undefined;
  /** As it shall be; undefined for a record that the edit destroys. */
  after: RecordDoc | undefined;
}

/**
 * One edit of a base: everything is planned first, on top of what is stored, and nothing is stored until `commit`. So a
 * refusal in mid-plan leaves no trace, and links are followed within the plan. A link stands on both sides: setting it on
 * one record changes the inverse cell of each record that was or is linked.
 */
export class BaseEdit {
  private readonly plans = new Map<string, RecordPlan>();
  private readonly tables = new Map<string, TableDoc>();
  private readonly timestamp: string;

  constructor(
    private readonly context: SandboxContext,
    private readonly baseId: string,
    private readonly author: Author,
  ) {
    this.timestamp = context.clock.iso();
  }

  /** The record as the plan leaves it. */
  record(tableId: string, recordId: string): RecordDoc | undefined {
    const plan = this.plans.get(recordId);
    return plan === undefined
      ? this.context.records.find(tableId, recordId)
      : plan.tableId === tableId
        ? plan.after
        : undefined;
  }

  /** The field as the plan leaves it, with choices that were added. */
  field(tableId: string, fieldId: string): FieldDoc | undefined {
    const table = this.table(tableId);
    return table && findField(table, fieldId);
  }

  addChoice(tableId: string, fieldId: string, name: string): void {
    const table = this.table(tableId);
    if (table === undefined) return;
    const choice = { id: this.context.ids.next('sel'), name };
    const fields = table.fields.map((field) =>
      field.id === fieldId
        ? { ...field, options: { ...field.options, choices: [...(field.options?.choices ?? []), choice] } }
        : field,
    );
    this.tables.set(tableId, { ...table, fields });
  }

  create(tableId: string, cells: CellChanges): string {
    const table = this.table(tableId);
    if (table === undefined) throw new Error(`There is no table ${tableId}`);
    const autoNumber = (table.lastAutoNumber ?? 0) + 1;
    this.tables.set(tableId, { ...table, lastAutoNumber: autoNumber });
    const id = this.context.ids.next('rec');
    const createdBy = this.author.user === null ? {} : { createdById: this.author.user.id };
    const after = { id, tableId, createdTime: this.timestamp, autoNumber, ...createdBy, cells: {} };
    this.plans.set(id, { tableId, before: undefined, after });
    this.update(tableId, id, cells);
    return id;
  }

  update(tableId: string, recordId: string, cells: CellChanges): void {
    for (const [fieldId, value] of cells) {
      const previous = this.record(tableId, recordId)?.cells[fieldId];
      this.setCell(tableId, recordId, fieldId, value);
      const field = this.field(tableId, fieldId);
      if (field?.type === 'multipleRecordLinks') {
        this.mirrorLink(field, recordId, (previous as string[]) ?? [], (value as string[]) ?? []);
      }
    }
  }

  destroy(tableId: string, recordId: string): void {
    const record = this.record(tableId, recordId);
    const table = this.table(tableId);
    if (record === undefined || table === undefined) return;
    for (const field of table.fields) {
      const linked = record.cells[field.id];
      if (field.type === 'multipleRecordLinks' && linked !== undefined) {
        this.mirrorLink(field, recordId, linked as string[], []);
      }
    }
    this.unlinkOneWay(tableId, recordId);
    this.plan(tableId, recordId, undefined);
  }

  /** Stores the plan and reports it as one transaction; null if the plan changes no record. */
  commit(): Transaction | null {
    const { context } = this;
    const plans = [...this.plans].filter(([, { before, after }]) => !sameJson(before?.cells, after?.cells));
    const report = new EditReport(context, this.baseId, plans);
    return context.state.atomically(() => {
      for (const table of this.tables.values()) context.bases.putTable(table);
      for (const [recordId, { tableId, after }] of plans) {
        if (after === undefined) context.records.of(tableId).delete(recordId);
        else context.records.of(tableId).put(recordId, after);
      }
      const changedTablesById = report.changes();
      if (Object.keys(changedTablesById).length === 0) return null;
      const { baseId, timestamp, author } = this;
      const number = context.ledger.nextNumber(baseId);
      const transaction = {
        baseId,
        number,
        timestamp,
        source: author.source,
        user: author.user,
        changedTablesById,
      };
      context.ledger.append(transaction);
      return transaction;
    });
  }

  private table(tableId: string): TableDoc | undefined {
    return this.tables.get(tableId) ?? this.context.bases.table(tableId);
  }

  private plan(tableId: string, recordId: string, after: RecordDoc | undefined): void {
    const known = this.plans.get(recordId);
    if (known !== undefined) known.after = after;
    else this.plans.set(recordId, { tableId, before: this.context.records.find(tableId, recordId), after });
  }

  /** Changes one cell on this side only. */
  private setCell(tableId: string, recordId: string, fieldId: string, value: unknown): void {
    const record = this.record(tableId, recordId);
    if (record === undefined || sameJson(record.cells[fieldId], value)) return;
    const { [fieldId]: _, ...others } = record.cells;
    const cells = value === undefined ? others : { ...others, [fieldId]: value };
    const isNew = this.plans.get(recordId)?.before === undefined && this.plans.has(recordId);
    if (isNew) return this.plan(tableId, recordId, { ...record, cells });
    const modifiedTimes = { ...record.modifiedTimes, [fieldId]: this.timestamp };
    const modifiedBy = this.author.user === null ? {} : { modifiedById: this.author.user.id };
    this.plan(tableId, recordId, {
      ...record,
      cells,
      modifiedTime: this.timestamp,
      modifiedTimes,
      ...modifiedBy,
    });
  }

  private mirrorLink(link: FieldDoc, recordId: string, before: string[], after: string[]): void {
    const { linkedTableId, inverseLinkFieldId } = link.options ?? {};
    if (linkedTableId === undefined || inverseLinkFieldId === undefined) return;
    const otherSide = (otherId: string): string[] =>
      (this.record(linkedTableId, otherId)?.cells[inverseLinkFieldId] as string[] | undefined) ?? [];
    for (const otherId of before) {
      if (after.includes(otherId)) continue;
      const rest = otherSide(otherId).filter((id) => id !== recordId);
      this.setCell(linkedTableId, otherId, inverseLinkFieldId, rest.length > 0 ? rest : undefined);
    }
    for (const otherId of after) {
      const present = otherSide(otherId);
      if (!present.includes(recordId)) {
        this.setCell(linkedTableId, otherId, inverseLinkFieldId, [...present, recordId]);
      }
    }
  }

  /** Links without an inverse can only be found by looking at every record of their table. */
  private unlinkOneWay(tableId: string, recordId: string): void {
    for (const table of this.context.bases.tables(this.baseId)) {
      for (const field of table.fields) {
        if (field.options?.linkedTableId !== tableId || field.options.inverseLinkFieldId !== undefined)
          continue;
        for (const other of this.context.records.of(table.id).values()) {
          const linked = (this.record(table.id, other.id)?.cells[field.id] as string[] | undefined) ?? [];
          if (!linked.includes(recordId)) continue;
          const rest = linked.filter((id) => id !== recordId);
          this.setCell(table.id, other.id, field.id, rest.length > 0 ? rest : undefined);
        }
      }
    }
  }
}
