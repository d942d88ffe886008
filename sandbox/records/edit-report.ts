import type { RecordDoc } from '../bases/documents.ts';
import type { CellsByFieldId, ChangedRecord, TableChanges } from '../changes/transaction.ts';
import type { SandboxContext } from '../context.ts';
import type { RecordPlan } from './base-edit.ts';
import { dependants, type Origin } from './dependants.ts';
import { sameJson } from './same-json.ts';
import { webhookCells } from './webhook-cells.ts';

interface Touched {
  tableId: string;
  recordId: string;
  /** Undefined if the record did not exist. */
  cells: CellsByFieldId | undefined;
}

/**
 * What an edit changed, in the form of webhooks. Made before the plans are stored, to remember how everything was that they
 * may change, computed cells of other records included; asked afterwards, when the new state can be read.
 */
export class EditReport {
  private readonly touched = new Map<string, Touched>();

  constructor(
    private readonly context: SandboxContext,
    baseId: string,
    plans: [recordId: string, plan: RecordPlan][],
  ) {
    for (const [recordId, { tableId, before }] of plans) this.remember(tableId, recordId, before);
    const origins = plans.map(([, plan]) => originOf(plan));
    for (const [recordId, record] of dependants(context, baseId, origins)) {
      if (!this.touched.has(recordId)) this.remember(record.tableId, recordId, record);
    }
  }

  /** The differences between then and now, by table; empty if there are none. */
  changes(): Record<string, TableChanges> {
    const tables: Record<string, TableChanges> = {};
    for (const { tableId, recordId, cells: before } of this.touched.values()) {
      const record = this.context.records.find(tableId, recordId);
      const after = this.cellsOf(tableId, record);
      if (after === undefined || record === undefined) {
        if (before !== undefined) ((tables[tableId] ??= {}).destroyedRecordIds ??= []).push(recordId);
      } else if (before === undefined) {
        const created = { createdTime: record.createdTime, cellValuesByFieldId: after };
        ((tables[tableId] ??= {}).createdRecordsById ??= {})[recordId] = created;
      } else {
        const difference = differenceOf(before, after);
        if (difference !== null) ((tables[tableId] ??= {}).changedRecordsById ??= {})[recordId] = difference;
      }
    }
    return tables;
  }

  private remember(tableId: string, recordId: string, record: RecordDoc | undefined): void {
    this.touched.set(recordId, { tableId, recordId, cells: this.cellsOf(tableId, record) });
  }

  private cellsOf(tableId: string, record: RecordDoc | undefined): CellsByFieldId | undefined {
    const table = this.context.bases.table(tableId);
    return table && record && webhookCells(this.context, table, record);
  }
}

function originOf({ tableId, before, after }: RecordPlan): Origin {
  const versions = [before, after].filter((version) => version !== undefined);
  const fieldIds = new Set(versions.flatMap((version) => Object.keys(version.cells)));
  if (before !== undefined && after !== undefined) {
    for (const id of fieldIds) if (sameJson(before.cells[id], after.cells[id])) fieldIds.delete(id);
  }
  return { tableId, versions, fieldIds };
}

function differenceOf(before: CellsByFieldId, after: CellsByFieldId): ChangedRecord | null {
  const current: CellsByFieldId = {};
  const previous: CellsByFieldId = {};
  const unchanged: CellsByFieldId = {};
  for (const fieldId of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (sameJson(essence(before[fieldId]), essence(after[fieldId]))) {
      unchanged[fieldId] = after[fieldId];
      continue;
    }
    current[fieldId] = after[fieldId] ?? null;
    previous[fieldId] = before[fieldId] ?? null;
  }
  if (Object.keys(current).length === 0) return null;
  return {
    current: { cellValuesByFieldId: current },
    previous: { cellValuesByFieldId: previous },
    unchanged: { cellValuesByFieldId: unchanged },
  };
}

/** What makes a cell the same cell: of links and attachments the ids, since names and addresses change by themselves. */
function essence(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  return value.map((item: unknown) =>
    typeof item === 'object' && item !== null && 'id' in item ? item.id : item,
  );
}
