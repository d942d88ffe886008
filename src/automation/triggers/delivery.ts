import type { EventType } from './event.ts';

export const deliveryStatuses = {
  WAITING:
    'It has not been taken yet: it is tried now, tried again later, or waits for an earlier one of its record.',
  DELIVERED: 'It was taken.',
  STOPPED:
    'It was not carried out and will not be: `error` says why, such as AUTOMATION_LOOP. Without an error it is `changes.lost`, of which an action can make nothing.',
  PARKED: 'It was given up; `error` says why. `replayDeliveries` tries it again.',
} as const;
export type DeliveryStatus = keyof typeof deliveryStatuses;

/** What one trigger tells of one change. */
export interface Delivery {
  /** Rises within a trigger in the order of the log. */
  id: string;
  triggerId: string;
  eventId: string;
  recordId: string;
  type: EventType;
  /** JSON, the same in every attempt. */
  body: string;
  status: DeliveryStatus;
  attempts: number;
  /** Since its three days began. */
  firstAttemptAt: Date | null;
  nextAttemptAt: Date;
  lastAttemptAt: Date | null;
  httpStatus: number | null;
  answer: string | null;
  durationMs: number | null;
  errorCode: string | null;
  errorMessage: string | null;
  /** Triggers whose actions led to the change, the first one first. */
  chain: string[];
  createdAt: Date;
  finishedAt: Date | null;
}

export const deliveryColumns = `d.id, d.trigger_id AS "triggerId", d.event_id AS "eventId", d.record_id AS "recordId", d.type, d.body, d.status,
  d.attempts, d.first_attempt_at AS "firstAttemptAt", d.next_attempt_at AS "nextAttemptAt", d.last_attempt_at AS "lastAttemptAt",
  d.http_status AS "httpStatus", d.answer, d.duration_ms AS "durationMs", d.error_code AS "errorCode", d.error_message AS "errorMessage",
  d.chain, d.created_at AS "createdAt", d.finished_at AS "finishedAt"`;
