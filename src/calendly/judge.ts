import { AppError, type ErrorCode, type ErrorDetails } from '../errors.ts';
import { isObject } from './cell-values.ts';
import type { RawAnswer } from './request.ts';
import { parseRetryAfter, type FailureKind } from './retry.ts';
import type { Effect } from './upstream-call.ts';

export type Verdict =
  | { kind: 'answer'; value: unknown }
  | { kind: FailureKind | 'unauthorized'; error: AppError; retryAfterMs: number | null };

/** Why an attempt brought no answer that can be used. */
export type Failure = Exclude<Verdict, { kind: 'answer' }>;

export interface JudgedCall {
  name: string;
  effect: Effect;
  missing: ErrorCode;
}

/** Longest piece of the upstream's own words that is passed on, in characters. */
const maxQuoted = 300;

/** Error types that mean the same on any status. */
const codesByType: Record<string, ErrorCode> = {
  INVALID_FILTER_BY_FORMULA: 'FORMULA_INVALID',
  LIST_RECORDS_ITERATOR_NOT_AVAILABLE: 'CURSOR_EXPIRED',
  INVALID_OFFSET_VALUE: 'CURSOR_INVALID',
  UNKNOWN_FIELD_NAME: 'FIELD_NOT_FOUND',
  ROW_DOES_NOT_EXIST: 'RECORD_NOT_FOUND',
  MODEL_ID_NOT_FOUND: 'RECORD_NOT_FOUND',
  TOO_MANY_WEBHOOKS_IN_BASE: 'WEBHOOK_LIMIT',
  TOO_MANY_WEBHOOKS_BY_OAUTH_INTEGRATION_IN_BASE: 'WEBHOOK_LIMIT',
  PUBLIC_API_BILLING_LIMIT_EXCEEDED: 'UPSTREAM_MONTHLY_LIMIT',
};

/** What to do next, by our code. */
const advice: Partial<Record<ErrorCode, string>> = {
  CURSOR_EXPIRED: 'Start the listing again from its first page.',
  UPSTREAM_FORBIDDEN:
    'Check that it exists, that the connection was granted access to it with the needed scopes, and that the account may do this.',
  UPSTREAM_MONTHLY_LIMIT: "The workspace's calls of this month are used up; waiting a little does not help.",
  UPSTREAM_UNAVAILABLE: 'Try again later.',
  UPSTREAM_UNREADABLE: 'Try again; if it stays, something between us and the upstream changes its answers.',
  CONNECTION_NOT_CONNECTED: 'Reconnect the connection.',
  WEBHOOK_LIMIT: 'Delete a webhook of this base first.',
};

/**
 * What an answer means. All three error envelopes of the upstream are read on every status, and bodies that are not JSON
 * (a proxy's page) are never quoted.
 * @param now milliseconds since the epoch, for a `Retry-After` that is a date
 */
export function judge(raw: RawAnswer, call: JudgedCall, now: number): Verdict {
  if (raw.status >= 200 && raw.status < 300) return judgeSuccess(raw, call);
  const envelope = readEnvelope(raw.body);
  const kind = kindOf(raw.status, envelope.type);
  const code = codeOf(raw.status, envelope.type, call);
  const said =
    [envelope.type, envelope.message].filter((part) => part !== null).join(': ') || 'no reason given';
  const error = new AppError(
    code,
    `The upstream refused "${call.name}" with status ${raw.status} (${said}). ${advice[code] ?? 'Correct the request.'}`,
    { details: detailsOf(raw.status, envelope.type, call) },
  );
  const retryAfter = raw.headers['retry-after'];
  return { kind, error, retryAfterMs: parseRetryAfter(retryAfter, now) };
}

function judgeSuccess(raw: RawAnswer, call: JudgedCall): Verdict {
  if (raw.body.trim() === '') return { kind: 'answer', value: null };
  try {
    return { kind: 'answer', value: JSON.parse(raw.body) };
  } catch {
    const error = new AppError(
      'UPSTREAM_UNREADABLE',
      `The upstream's answer to "${call.name}" is not JSON. ${advice.UPSTREAM_UNREADABLE}`,
      { details: detailsOf(raw.status, null, call) },
    );
    return { kind: 'final', error, retryAfterMs: null };
  }
}

function kindOf(status: number, type: string | null): FailureKind | 'unauthorized' {
  if (status === 401) return 'unauthorized';
  if (status === 429) return type === 'PUBLIC_API_BILLING_LIMIT_EXCEEDED' ? 'final' : 'limited';
  return isOutage(status) ? 'unavailable' : 'final';
}

/** Whether the status is that of a gateway whose upstream is away, which passes. */
export function isOutage(status: number): boolean {
  return status >= 502 && status <= 504;
}

function codeOf(status: number, type: string | null, call: JudgedCall): ErrorCode {
  const known = type === null || !Object.hasOwn(codesByType, type) ? undefined : codesByType[type];
  if (known) return known;
  if (status === 401) return 'CONNECTION_NOT_CONNECTED';
  if (status === 403) return 'UPSTREAM_FORBIDDEN';
  if (status === 404) return call.missing;
  if (status === 429) return 'UPSTREAM_RATE_LIMITED';
  if (status >= 500) return 'UPSTREAM_UNAVAILABLE';
  return status >= 400 ? 'UPSTREAM_REJECTED' : 'UPSTREAM_UNREADABLE';
}

/** A refusal did nothing; after a success that we can't read or a failure inside the upstream nobody knows. */
function detailsOf(status: number, type: string | null, call: JudgedCall): ErrorDetails {
  const unknown = call.effect !== 'read' && (status < 400 || status >= 500);
  return {
    call: call.name,
    upstreamStatus: status,
    ...(type === null ? {} : { upstreamType: type }),
    ...(unknown ? { outcome: 'unknown' } : {}),
  };
}

interface Envelope {
  type: string | null;
  message: string | null;
}

/** `{error: {type, message}}`, `{error: "TYPE"}` or `{errors: [{error, message}]}`. */
export function readEnvelope(body: string): Envelope {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return { type: null, message: null };
  }
  if (!isObject(parsed)) return { type: null, message: null };
  const listed: unknown = Array.isArray(parsed.errors) ? parsed.errors[0] : undefined;
  const error = parsed.error ?? listed;
  if (!isObject(error)) return { type: typeOf(error), message: textOf(parsed.message) };
  return { type: typeOf(error.type) ?? typeOf(error.error), message: textOf(error.message) };
}

/** Types become part of our answers, so only what looks like one is taken. */
function typeOf(value: unknown): string | null {
  return typeof value === 'string' && /^[A-Za-z0-9_]{1,80}$/.test(value) ? value : null;
}

function textOf(value: unknown): string | null {
  if (typeof value !== 'string' || value.trim() === '') return null;
  const line = value.replaceAll(/[\p{Cc}\s]+/gu, ' ').trim();
  return line.length > maxQuoted ? `${line.slice(0, maxQuoted)}…` : line;
}
