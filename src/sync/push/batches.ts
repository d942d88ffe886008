import { randomUUID } from 'node:crypto';
import type { EntityManager } from 'typeorm';
import { maxRecordsPerWrite } from '../../calendly/api.ts';
import { jsonText } from '../../changes/json-text.ts';
import type { Cells } from '../values/row-writes.ts';

/** Something that has to be looked at because its row was changed. */
export interface Pending {
  id: string;
  recordId: string | null;
  rowKey: string[] | null;
  /** Whether its row was seen being deleted. */
  isDeleted: boolean;
  alone: boolean;
}

/** What a pending change comes to: something to send, nothing, or a value that no cell can hold. */
export type Outcome =
  | { kind: 'create' | 'update' | 'delete'; cells: Cells; believed: Cells }
  | { kind: 'nothing' }
  | { kind: 'fault'; message: string }
  | { kind: 'later' };

/** What is known of a record. */
export interface Known {
  recordId: string;
  cells: Cells;
  rowKey: string[] | null;
}

/** A pending change with what it comes to. */
export type Looked = { item: Pending; record: Known | null; key: string[] | null; outcome: Outcome };
type Sending = Extract<Outcome, { cells: Cells }>;

export function isSending(outcome: Outcome): outcome is Sending {
  return 'cells' in outcome;
}

/** What leaves in one call. */
export interface Batch {
  id: string;
  kind: Sending['kind'];
  items: Looked[];
}

/** Tens of one kind each, in the order in which they became pending; what was refused among others goes alone. */
export function batchesOf(looked: readonly Looked[]): Batch[] {
  const batches: Batch[] = [];
  const open = new Map<Sending['kind'], Batch>();
  for (const one of looked) {
    if (!isSending(one.outcome)) continue;
    const { kind } = one.outcome;
    const batch = one.item.alone ? undefined : open.get(kind);
    if (batch && batch.items.length < maxRecordsPerWrite) {
      batch.items.push(one);
      continue;
    }
    const begun: Batch = { id: randomUUID(), kind, items: [one] };
    batches.push(begun);
    if (!one.item.alone) open.set(kind, begun);
  }
  return batches;
}

/** Before it leaves. */
export async function storeBatches(
  sql: EntityManager,
  syncId: string,
  batches: readonly Batch[],
): Promise<void> {
  if (batches.length === 0) return;
  const rows = batches.flatMap(({ id, kind, items }) =>
    items.map(({ record, key, outcome }) => ({
      batch: id,
      kind,
      record: record?.recordId ?? null,
      key: kind === 'create' ? key : null,
      cells: isSending(outcome) ? outcome.cells : {},
      believed: isSending(outcome) ? outcome.believed : {},
    })),
  );
  await sql.query(
    `INSERT INTO sync_writes (sync_id, batch, kind, record_id, row_key, cells, believed)
     SELECT $1, w.batch, w.kind, w.record, w.key, w.cells, w.believed
     FROM ROWS FROM (jsonb_to_recordset($2::jsonb) AS (batch uuid, kind text, record text, key text[], cells jsonb, believed jsonb))
       WITH ORDINALITY AS w ORDER BY w.ordinality`,
    [syncId, jsonText(rows)],
  );
}
