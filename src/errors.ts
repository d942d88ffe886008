/**
 * Every code that a caller can meet in `extensions.code`, with the status that an HTTP answer carries when the whole
 * request fails with it. The list is documented in docs/errors.md; a test holds the two together.
 */
export const errorCodes = {
  BAD_REQUEST: 400,
  GRAPHQL_PARSE_FAILED: 400,
  GRAPHQL_VALIDATION_FAILED: 400,
  DOCUMENT_TOO_COMPLEX: 400,
  REQUEST_TOO_LARGE: 413,
  CSRF_REFUSED: 400,
  UNAUTHENTICATED: 401,
  TOO_MANY_ATTEMPTS: 429,
  IDENTITY_PROVIDER_UNAVAILABLE: 503,
  OPERATION_LIMIT: 429,
  FORBIDDEN: 403,
  INVALID_INPUT: 400,
  TOO_MANY: 400,
  NAME_TAKEN: 409,
  NOT_FOUND: 404,
  API_KEY_NOT_FOUND: 404,
  API_KEY_CONFIGURED: 409,
  CONNECTION_NOT_FOUND: 404,
  CONNECTION_NOT_CONNECTED: 409,
  CONNECTION_MANAGED: 409,
  BASE_NOT_FOUND: 404,
  TABLE_NOT_FOUND: 404,
  FIELD_NOT_FOUND: 404,
  RECORD_NOT_FOUND: 404,
  WEBHOOK_NOT_FOUND: 404,
  TRIGGER_NOT_FOUND: 404,
  SYNC_NOT_FOUND: 404,
  TARGET_NOT_FOUND: 404,
  TARGET_UNFIT: 400,
  FIELD_TYPE_MISMATCH: 400,
  FORMULA_INVALID: 400,
  FILTER_NOT_EXACT: 400,
  FILTER_OUTDATED: 409,
  CURSOR_INVALID: 400,
  CURSOR_EXPIRED: 410,
  COPY_TOO_OLD: 503,
  COPY_BUSY: 503,
  SCOPE_MISSING: 403,
  FLOW_NOT_FOUND: 404,
  FLOW_SUPERSEDED: 409,
  SECRET_UNREADABLE: 500,
  REFRESH_LOST: 409,
  IDEMPOTENCY_KEY_REUSED: 409,
  DEADLINE_EXCEEDED: 504,
  UPSTREAM_CALLS_EXCEEDED: 400,
  UPSTREAM_RATE_LIMITED: 429,
  UPSTREAM_MONTHLY_LIMIT: 429,
  UPSTREAM_FORBIDDEN: 403,
  UPSTREAM_REJECTED: 422,
  UPSTREAM_UNAVAILABLE: 502,
  UPSTREAM_UNREADABLE: 502,
  WEBHOOK_LIMIT: 409,
  SUBSCRIPTION_LIMIT: 429,
  AUTOMATION_LOOP: 409,
  CELLS_UNKNOWN: 422,
  ENDPOINT_FORBIDDEN: 400,
  ENDPOINT_REFUSED: 502,
  ENDPOINT_TIMED_OUT: 504,
  ENDPOINT_UNREACHABLE: 502,
  DATABASE_UNAVAILABLE: 503,
  SHUTTING_DOWN: 503,
  INTERNAL: 500,
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** Facts that go with a code into `extensions`, such as `retryAfterMs` or `field`. Never a secret. */
export type ErrorDetails = Record<string, string | number | boolean | null | readonly string[]>;

/**
 * An error whose message may be shown to the caller: it says what failed, for what, and what to do next.
 * Everything that is not an AppError is shown as INTERNAL and only logged.
 */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { details?: ErrorDetails; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.details = options.details ?? {};
  }

  get httpStatus(): number {
    return errorCodes[this.code];
  }

  /** What an HTTP answer says beside its status when the whole request fails with this error. */
  get httpHeaders(): Record<string, string> {
    const { retryAfterMs } = this.details;
    return {
      ...(this.httpStatus === 401 ? { 'WWW-Authenticate': 'Bearer' } : {}),
      ...(typeof retryAfterMs === 'number' ? { 'Retry-After': String(Math.ceil(retryAfterMs / 1_000)) } : {}),
    };
  }
}
