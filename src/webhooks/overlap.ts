import type { Sql } from '../database/sql.ts';
import { jsonText } from '../changes/json-text.ts';
import type { LogEntry, LoggedSchemaChange } from '../changes/log-entry.ts';
import type { NumberedPayload } from './payload-entries.ts';

/**
 * For a while a webhook and its successor both recorded. What the first one has told must not be told again by the
 * second, and what it has not told must be.
 *
 * Both number their payloads for themselves, but the transactions in them are those of the base. What is later than the
 * last one that the webhook before has told is new. Of the others, parts may have been recorded after it was drained for
 * the last time, since a transaction can be spread over several payloads, with others in between: the log says which
 * parts it told. And what the successor recorded after that drain, from `until` on, was told by nobody else, whatever it is.
 */
export interface Overlap {
  /** Of the webhook before. */
  generation: number;
  /** Its first payload that the successor may have recorded too. */
  from: number;
  /** The successor's first payload that only it has; null until it takes over. */
  until: number | null;
  /** The last transaction that the webhook before has told; null when it told none. */
  transaction: number | null;
}

/** Whether a payload may repeat what the webhook before has told. */
export function mayRepeat({ number, decoded }: NumberedPayload, overlap: Overlap | null): boolean {
  if (overlap === null || overlap.until === null || overlap.transaction === null) return false;
  return number < overlap.until && decoded.transaction !== null && decoded.transaction <= overlap.transaction;
}

/** What the log has of a transaction, as far as it takes to know it again. */
interface Told {
  transaction: number | null;
  kind: LogEntry['kind'];
  tableId: string | null;
  recordId: string | null;
  fields: { id: string; current: unknown }[];
  detail: { changes?: LoggedSchemaChange[] } | null;
}

/** What the webhook before told of the transactions in these payloads. */
export async function toldBefore(
  sql: Sql,
  feedId: number,
  { generation, from }: Overlap,
  payloads: readonly NumberedPayload[],
): Promise<Told[]> {
  const transactions = new Set(payloads.flatMap(({ decoded }) => decoded.transaction ?? []));
  if (transactions.size === 0) return [];
  const rows = await sql.query<(Omit<Told, 'transaction'> & { transaction: string })[]>(
    `SELECT kind, table_id AS "tableId", record_id AS "recordId", fields, detail, upstream_transaction AS transaction FROM changes
     WHERE feed_id = $1 AND generation = $2 AND payload >= $3 AND upstream_transaction = ANY($4)`,
    [feedId, generation, from, [...transactions]],
  );
  return rows.map((row) => ({ ...row, transaction: Number(row.transaction) }));
}

/** Leaves out what the webhook before has told. Positions stay as they are, so that reading again gives the same ones. */
export function withoutRepeats(entries: readonly LogEntry[], told: readonly Told[]): LogEntry[] {
  return entries.filter((entry) => {
    const same = told.filter(
      ({ kind, transaction }) => kind === entry.kind && transaction === entry.transaction,
    );
    return !includeWhat(same, entry);
  });
}

/** The same may have come in other parts. */
function includeWhat(told: readonly Told[], entry: LogEntry): boolean {
  if (entry.kind === 'lost') return told.length > 0;
  if (entry.kind === 'schema') {
    const known = told.flatMap(({ detail }) => detail?.changes ?? []);
    return entry.changes.every((change) =>
      known.some(
        ({ kind, tableId, fieldId }) =>
          kind === change.kind && tableId === change.tableId && fieldId === change.fieldId,
      ),
    );
  }
  const parts = told.filter(
    ({ tableId, recordId }) => tableId === entry.tableId && recordId === entry.recordId,
  );
  const known = new Set(parts.flatMap(({ fields }) => fields.map(whatWasSet)));
  return parts.length > 0 && entry.fields.every((field) => known.has(whatWasSet(field)));
}

/** One transaction may set the same cell several times. Addresses of attachments are others at each reading. */
function whatWasSet({ id, current }: { id: string; current: unknown }): string {
  const isAddress = (key: string): boolean => key === 'url' || key === 'thumbnails';
  return jsonText([id, current], (key, value: unknown) => (isAddress(key) ? undefined : value));
}
