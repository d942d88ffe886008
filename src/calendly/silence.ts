import { AppError, type ErrorDetails } from '../errors.ts';
import { deadlineExceeded } from './ended-early.ts';
import type { Failure } from './judge.ts';
import { maxAnswerBytes, type AttemptFailed } from './request.ts';
import type { UpstreamCall } from './upstream-call.ts';

/** What it means that no answer came. */
export function judgeSilence(
  failed: AttemptFailed,
  call: UpstreamCall<unknown>,
  isTooLate: boolean,
): Failure {
  if (failed.reason === 'oversized') {
    const error = new AppError(
      'UPSTREAM_UNREADABLE',
      `The upstream's answer to "${call.name}" is larger than ${maxAnswerBytes} bytes. Ask for fewer records or fields.`,
      { details: { maxBytes: maxAnswerBytes, ...(call.effect !== 'read' && { outcome: 'unknown' }) } },
    );
    return { kind: 'final', error, retryAfterMs: null };
  }
  const kind = failed.reason === 'lost' ? 'lost' : 'unsent';
  if (isTooLate) return { kind, error: deadlineExceeded(), retryAfterMs: null };
  const what = kind === 'lost' ? 'did not answer' : 'could not be reached for';
  const error = new AppError(
    'UPSTREAM_UNAVAILABLE',
    `The upstream ${what} "${call.name}". Try again later.`,
    {
      cause: failed,
      details: { call: call.name },
    },
  );
  return { kind, error, retryAfterMs: null };
}

/** Whether an answer came and was larger than is read. */
export function isOversized(error: unknown): boolean {
  return error instanceof AppError && error.code === 'UPSTREAM_UNREADABLE' && 'maxBytes' in error.details;
}

/** Whatever ended the call: an earlier or this attempt left and may have worked. */
export function withLostAnswer(error: unknown, call: UpstreamCall<unknown>): unknown {
  if (call.effect === 'read') return error;
  const told =
    error instanceof AppError
      ? error
      : new AppError(
          'UPSTREAM_UNAVAILABLE',
          `The upstream's answer to "${call.name}" was lost, and it could not be sent again.`,
          { cause: error },
        );
  return withDetails(told, { outcome: 'unknown', afterLostAnswer: true });
}

/** The same error, saying more. */
export function withDetails(error: AppError, details: ErrorDetails): AppError {
  return new AppError(error.code, error.message, {
    details: { ...error.details, ...details },
    cause: error.cause,
  });
}
