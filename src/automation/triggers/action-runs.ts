import type { BaseSchemas } from '../../bases/base-schemas.ts';
import type { ChangeLog } from '../../changes/change-log.ts';
import { AppError, type ErrorCode } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { RecordServices } from '../../records/record-work.ts';
import { unattendedWork } from '../../records/unattended-work.ts';
import { ActionNotConfirmed } from '../action-errors.ts';
import { readStoredAction } from '../stored-action.ts';
import { fillTemplate, referredFields, type ActionTemplate, type ChangedRecord } from './action-template.ts';
import type { TriggerWrites } from './trigger-writes.ts';

/** One run of an action, waits for the rate limit included, in milliseconds. */
const runDeadlineMs = 60_000;
/**
 * How long after it began a write of unknown outcome may still be asked for. Asking sends the write's idempotency key again,
 * which is remembered for a day: after that it would be a new write.
 */
const askedForMs = 12 * 60 * 60_000;

/** A delivery that is an action. */
export interface ActionDelivery {
  id: string;
  triggerId: string;
  eventId: string;
  chain: string[];
  actionRound: number;
  openSince: Date | null;
  body: string;
}

export interface ActionRun {
  error: AppError | null;
  /** Whether it may be tried again: it had no effect, or trying only asks what came of it. */
  isRetriable: boolean;
  /** Whether it is not known what came of it. */
  isOpen: boolean;
  /** Whether its idempotency key stands for a write that had no effect: another attempt needs another one. */
  isKeyUsedUp: boolean;
}

export interface ActionRunsDeps {
  services: RecordServices;
  schemas: BaseSchemas;
  changeLog: ChangeLog;
  writes: TriggerWrites;
  logger: Logger;
}

/** What may be over the next time, of failures that had no effect. */
const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'CONNECTION_NOT_CONNECTED',
  'SCOPE_MISSING',
  'UPSTREAM_RATE_LIMITED',
  'UPSTREAM_UNAVAILABLE',
  'UPSTREAM_UNREADABLE',
]);
/** What ends a run without telling whether anything has left. */
const unclear: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'DEADLINE_EXCEEDED',
  'DATABASE_UNAVAILABLE',
  'SHUTTING_DOWN',
  'INTERNAL',
]);

const nothing: ActionRun = { error: null, isRetriable: false, isOpen: false, isKeyUsedUp: false };

/**
 * Carries out the actions of triggers, behind people in the line for the upstream. The event id is the idempotency key, so
 * that a run which is repeated after a crash writes nothing twice. A trigger acts by itself: it reaches the base that
 * whoever made it was allowed to name, and nothing else.
 */
export class ActionRuns {
  readonly #deps: ActionRunsDeps;

  constructor(deps: ActionRunsDeps) {
    this.#deps = deps;
  }

  /** Never rejects for reasons of the action. */
  async run(template: ActionTemplate, delivery: ActionDelivery, signal: AbortSignal): Promise<ActionRun> {
    const { clock } = this.#deps.services;
    const isTooLate = delivery.openSince !== null && clock.now() - delivery.openSince.getTime() > askedForMs;
    if (isTooLate) return { ...nothing, error: unknownForGood(), isOpen: true };
    let hasBegun = false;
    try {
      // Of a write that has begun the same is asked for again, whatever the trigger has been told to do since.
      const begun = delivery.openSince === null ? null : await this.#deps.writes.begun(delivery.id);
      const filled = begun ?? fillTemplate(template, changedRecord(delivery.body, template));
      const action = readStoredAction(filled);
      await this.#deps.writes.begin(delivery, filled);
      hasBegun = true;
      const result = await action.run({
        records: unattendedWork(this.#deps, {
          id: `trigger:${delivery.triggerId}`,
          connectionId: filled.connection,
          baseId: filled.config.baseId,
          deadlineMs: runDeadlineMs,
          signal,
          explain: (error) => this.#explain(error),
        }),
        connectionId: filled.connection,
        changeLog: this.#deps.changeLog,
        findFeed: () => Promise.resolve(null),
        given: filled,
        idempotencyKey: keyOf(delivery),
      });
      await this.#deps.writes.ended(
        delivery.id,
        typeof result.recordId === 'string' ? result.recordId : null,
      );
      return nothing;
    } catch (error) {
      return this.#failed(delivery, error, hasBegun);
    }
  }

  async #failed(delivery: ActionDelivery, failure: unknown, hasBegun: boolean): Promise<ActionRun> {
    const error = this.#explain(failure);
    if (error instanceof ActionNotConfirmed && error.status === 'OUTCOME_UNKNOWN') {
      await this.#deps.writes.ended(delivery.id, error.recordId);
      return { ...nothing, error, isRetriable: true, isOpen: true };
    }
    // The same key is asked with again: should anything have left, now or the time before, it is not sent twice.
    const isUnclear = delivery.openSince
      ? passing.has(error.code) || unclear.has(error.code)
      : hasBegun && unclear.has(error.code);
    if (isUnclear && !(error instanceof ActionNotConfirmed))
      return { ...nothing, error, isRetriable: true, isOpen: true };
    if (hasBegun) await this.#deps.writes.cameToNothing(delivery.id);
    const isNotSent = error instanceof ActionNotConfirmed && error.status === 'NOT_SENT';
    return {
      error,
      isRetriable: isNotSent || passing.has(error.code) || unclear.has(error.code),
      isOpen: false,
      isKeyUsedUp: error instanceof ActionNotConfirmed,
    };
  }

  /** What people may read of a failure; what is none of ours to foresee is logged. */
  #explain(error: unknown): AppError {
    if (error instanceof AppError) return error;
    this.#deps.logger.error({ err: error }, 'an action of a trigger failed unexpectedly');
    return new AppError('INTERNAL', 'Something went wrong on our side; the log tells more.');
  }
}

/** Of a write that had no effect the key is used up, and the next one is another. */
function keyOf({ eventId, actionRound }: ActionDelivery): string {
  return actionRound === 0 ? eventId : `${eventId}#${actionRound}`;
}

/** @throws AppError CELLS_UNKNOWN where the template has to be filled with cells that the event does not have */
function changedRecord(body: string, template: ActionTemplate): ChangedRecord {
  const { data } = JSON.parse(body) as {
    data: { recordId: string; isComplete: boolean; record: { cells: Record<string, unknown> } | null };
  };
  if (!data.isComplete && referredFields(template).length > 0) {
    throw new AppError(
      'CELLS_UNKNOWN',
      'The cells of the changed record are not known, so nothing was written: the upstream did not tell them, or they are too large for an event.',
    );
  }
  return { recordId: data.recordId, cells: data.record?.cells ?? null };
}

function unknownForGood(): AppError {
  return new AppError(
    'UPSTREAM_UNAVAILABLE',
    'The write was sent long ago and its answer never came. Look whether it took effect before you replay it.',
    { details: { outcome: 'unknown' } },
  );
}
