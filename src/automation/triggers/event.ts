import { createHash } from 'node:crypto';
import type { ChangeEntry, Loss } from '../../changes/log-entry.ts';
import { encodeCursor, type Position } from '../../changes/position.ts';
import { jsonText } from '../../changes/json-text.ts';
import type { ErrorCode } from '../../errors.ts';
import type { Trigger } from './trigger.ts';

/** What a receiver is told. */
export const eventTypes = {
  'record.created': 'A record was created.',
  'record.updated': 'Cells of a record changed.',
  'record.deleted': 'A record was deleted.',
  'changes.lost': 'Changes may be missing: read again what you keep of the table.',
} as const;
export type EventType = keyof typeof eventTypes;

/** Longest body, in bytes. A change that would exceed it is told without its cells. */
const maxBodyBytes = 262_144;

export interface TriggerEvent {
  /** The same for the same trigger and the same place in the log, whoever makes it and however often. */
  id: string;
  type: EventType;
  /** Empty for what is about no single record. */
  recordId: string;
  /** JSON. */
  body: string;
  /** Triggers whose actions led to the change, the first one first. */
  chain: string[];
  /** Why it is not to be carried out; null if it is, and without words where it can't be. */
  stopped: { code: ErrorCode; message: string } | Record<string, never> | null;
}

/** Where a change came from. */
interface Origin {
  trigger: Pick<Trigger, 'id' | 'connectionId' | 'baseId' | 'tableId'>;
  /** Of the feed, for cursors. */
  feedKey: string;
}

export function changeEvent(entry: ChangeEntry, leftFilter: boolean, origin: Origin): TriggerEvent {
  const type = `record.${entry.kind}` as const;
  const common = {
    ...placeOf(origin, entry.position),
    recordId: entry.recordId,
    source: entry.source,
    actor: entry.actor,
    leftFilter,
  };
  const record = entry.cells && {
    id: entry.recordId,
    createdTime: entry.recordCreatedAt,
    cells: entry.cells,
  };
  const whole = bodyOf(type, entry.occurredAt, {
    ...common,
    // Cells that were not told are no empty ones.
    isComplete: entry.kind === 'deleted' || entry.cells !== null,
    changes: entry.fields,
    record,
  });
  const body =
    Buffer.byteLength(whole) <= maxBodyBytes
      ? whole
      : bodyOf(type, entry.occurredAt, { ...common, isComplete: false, changes: [], record: null });
  return {
    id: eventId(origin.trigger.id, entry.position),
    type,
    recordId: entry.recordId,
    body,
    chain: [],
    stopped: null,
  };
}

export function lossEvent(loss: Loss, position: Position, at: Date, origin: Origin): TriggerEvent {
  const { reason, since, until } = loss;
  return {
    id: eventId(origin.trigger.id, position),
    type: 'changes.lost',
    recordId: '',
    body: bodyOf('changes.lost', at, {
      ...placeOf(origin, position),
      reason: reason.toUpperCase(),
      since,
      until,
    }),
    chain: [],
    stopped: null,
  };
}

export function testBody(trigger: Trigger, at: Date): string {
  const { id, connectionId, baseId, tableId } = trigger;
  return bodyOf('test', at, { trigger: id, connection: connectionId, baseId, tableId });
}

/** It must not have a dot, which parts it from the rest of what is signed. */
function eventId(triggerId: string, { generation, payload, ordinal }: Position): string {
  const digest = createHash('sha256').update(`${triggerId}/${generation}/${payload}/${ordinal}`).digest();
  return `evt_${digest.subarray(0, 18).toString('base64url')}`;
}

function placeOf({ trigger, feedKey }: Origin, position: Position): object {
  const { id, connectionId, baseId, tableId } = trigger;
  return {
    trigger: id,
    connection: connectionId,
    baseId,
    tableId,
    cursor: encodeCursor(feedKey, position),
  };
}

function bodyOf(type: string, at: Date, data: object): string {
  return jsonText({ type, timestamp: at.toISOString(), data });
}
