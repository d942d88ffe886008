import type { Sql } from '../changes/feed.ts';
import type { LogEntry, LoggedSchemaChange } from '../changes/log-entry.ts';
import type { NumberedPayload } from './payload-entries.ts';

/**
 * For a while a webhook and its successor both recorded. What the first one has told must not be told again by the
 * second, and what it has not told must be.
 *
 * Both number their payloads for themselves, but the transactions in them are those of the base. The first one was
 * drained for the last time when the second one recorded already, so what it did not tell by then is in the second: in
 * later transactions, or in later parts of its last one, since a transaction can be spread over several payloads. And
 * whatever the second one recorded after that last drain, `until` on, was told by nobody else, whatever its number.
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
  kind: LogEntry['kind'];
  tableId: string | null;
  recordId: string | null;
  fields: { id: string }[];
  detail: { changes?: LoggedSchemaChange[] } | null;
}

/** What the webhook before told of its last transaction. */
export function toldBefore(
  sql: Sql,
  feedId: number,
  { generation, from, transaction }: Overlap,
): Promise<Told[]> {
  return sql.query<Told[]>(
    `SELECT kind, table_id AS "tableId", record_id AS "recordId", fields, detail FROM changes
     WHERE feed_id = $1 AND generation = $2 AND payload >= $3 AND upstream_transaction = $4`,
    [feedId, generation, from, transaction],
  );
}

/** Leaves out what the webhook before has told. Positions stay as they are, so that reading again gives the same ones. */
export function withoutRepeats(
  entries: readonly LogEntry[],
  { transaction }: Overlap,
  told: readonly Told[],
): LogEntry[] {
  return entries.filter(
    (entry) => entry.transaction === transaction && !told.some((earlier) => includesWhat(earlier, entry)),
  );
}

function includesWhat(earlier: Told, entry: LogEntry): boolean {
  if (earlier.kind !== entry.kind) return false;
  if (entry.kind === 'lost') return true;
  if (entry.kind === 'schema') {
    const known = earlier.detail?.changes ?? [];
    return entry.changes.every((change) =>
      known.some(
        ({ kind, tableId, fieldId }) =>
          kind === change.kind && tableId === change.tableId && fieldId === change.fieldId,
      ),
    );
  }
  return (
    earlier.tableId === entry.tableId &&
    earlier.recordId === entry.recordId &&
    entry.fields.every(({ id }) => earlier.fields.some((field) => field.id === id))
  );
}

/**
 * The successor takes over from a webhook that will not be drained any more; its own number `until` is the first that
 * the webhook before can't have told.
 * @returns false when it is no longer ready to
 */
export async function takeOver(
  sql: Sql,
  successorId: string,
  until: number,
  beforeId: string,
): Promise<boolean> {
  const [, taken] = await sql.query<[unknown[], number]>(
    `UPDATE webhooks AS successor
     SET state = 'active', drain_wanted_at = clock_timestamp(), behind_since = coalesce(successor.behind_since, clock_timestamp()),
         last_drained_at = before.last_drained_at,
         overlap = successor.overlap || jsonb_build_object('until', $3::integer, 'transaction', before.last_transaction)
     FROM webhooks AS before
     WHERE successor.id = $1 AND before.id = $2 AND successor.state = 'ready'`,
    [successorId, beforeId, until],
  );
  return taken === 1;
}
