import type { WireRecord } from '../../calendly/wire.ts';
import type { AppError, ErrorCode } from '../../errors.ts';

export const writeStatuses = {
  WRITTEN: 'The service confirmed it.',
  FAILED:
    'It had no effect. `error` says why. What the service refuses, it refuses for the whole ten that was sent together.',
  NOT_SENT:
    'It was not sent at all. `error` says why; sending it again is safe. With `validateOnly` there is no error: it would have been sent.',
  OUTCOME_UNKNOWN:
    'It was sent and the answer was lost, so nobody knows whether it took effect. Look before you send it again.',
} as const;
export type WriteStatus = keyof typeof writeStatuses;

export const writeEffects = {
  CREATED: 'The record is new.',
  UPDATED: 'The record was there before.',
  DELETED: 'The record is gone.',
} as const;
export type WriteEffect = keyof typeof writeEffects;

export interface WriteResult {
  /** Place in the input, from 0. */
  index: number;
  status: WriteStatus;
  /** Null for a creation without a known outcome. */
  recordId: string | null;
  /** Null unless it was written. */
  effect: WriteEffect | null;
  /** As the upstream answered; null for deletions, for what was not written, and for what is told a second time. */
  record: WireRecord | null;
  error: AppError | null;
  /** What the upstream left out of a record that it has written otherwise; null where it took all. */
  warning: string | null;
}

/** One fault of one record, found without asking the upstream. */
export interface WriteFault {
  /** From the input inwards, such as `records`, `3`, `fields`, `Status`. */
  path: string[];
  code: ErrorCode;
  message: string;
}
