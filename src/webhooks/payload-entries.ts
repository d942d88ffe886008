import { decodePayload, type DecodedChange, type DecodedPayload } from '../calendly/payloads.ts';
import type { ChangeEntry, LogEntry } from '../changes/log-entry.ts';

/** How a field is called now, or null when that is not known. */
export type FieldName = (tableId: string, fieldId: string) => string | null;

export interface NumberedPayload {
  number: number;
  decoded: DecodedPayload;
}

/** Gives decoded payloads the numbers that the upstream counts them by: the answer's cursor is the one after the last. */
export function numberPayloads(page: {
  cursor: number;
  payloads: Parameters<typeof decodePayload>[0][];
}): NumberedPayload[] {
  const first = page.cursor - page.payloads.length;
  return page.payloads.map((payload, index) => ({ number: first + index, decoded: decodePayload(payload) }));
}

/**
 * The log entries of one payload. Their ordinals depend on the payload alone, so reading it again gives the same
 * positions: first what changed in the schema, as one entry, then record by record.
 */
export function entriesOf(
  { number, decoded }: NumberedPayload,
  generation: number,
  fieldName: FieldName,
  fallbackTime: Date,
): LogEntry[] {
  const common = {
    occurredAt: timeOf(decoded.timestamp) ?? fallbackTime,
    source: decoded.source,
    actor: decoded.actor,
    transaction: decoded.transaction,
  };
  const at = (ordinal: number) => ({ generation, payload: number, ordinal });
  if (decoded.error !== null) {
    const until = common.occurredAt.toISOString();
    return [
      {
        ...common,
        kind: 'lost',
        position: at(0),
        loss: { reason: 'payload_unreadable', since: until, until },
      },
    ];
  }
  const schema: LogEntry[] =
    decoded.schemaChanges.length > 0
      ? [{ ...common, kind: 'schema', position: at(0), changes: decoded.schemaChanges }]
      : [];
  return [
    ...schema,
    ...decoded.changes.map((change, index) => ({
      ...common,
      ...changeOf(change, fieldName),
      position: at(schema.length + index),
    })),
  ];
}

/** What lies between the payload that was wanted and the first one that is still there. */
export function missingPayloads(
  generation: number,
  first: number,
  since: Date | null,
  until: Date,
): LogEntry {
  return {
    kind: 'lost',
    // The last missing number: what follows it is there.
    position: { generation, payload: first - 1, ordinal: 0 },
    occurredAt: until,
    source: 'system',
    actor: null,
    transaction: null,
    loss: { reason: 'payloads_missing', since: since?.toISOString() ?? null, until: until.toISOString() },
  };
}

function changeOf(
  change: DecodedChange,
  fieldName: FieldName,
): Pick<ChangeEntry, 'kind' | 'tableId' | 'recordId' | 'recordCreatedAt' | 'fields' | 'cells'> {
  const { kind, tableId, recordId, current, previous, unchanged } = change;
  return {
    kind,
    tableId,
    recordId,
    recordCreatedAt: timeOf(change.createdTime),
    // A cell that was emptied may be told by what it was before alone.
    fields: Object.keys({ ...current, ...previous }).map((id) => ({
      id,
      name: fieldName(tableId, id),
      ...(previous && { previous: previous[id] ?? null }),
      current: current[id] ?? null,
    })),
    cells: kind === 'deleted' || unchanged === null ? null : filled({ ...unchanged, ...current }),
  };
}

function filled(cells: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(cells).filter(([, value]) => value !== null && value !== undefined),
  );
}

function timeOf(text: string | null): Date | null {
  const time = text === null ? Number.NaN : Date.parse(text);
  return Number.isNaN(time) ? null : new Date(time);
}
