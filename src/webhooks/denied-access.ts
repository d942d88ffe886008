import { AppError, type ErrorCode } from '../errors.ts';

/** What the upstream, or the grant itself, says when a connection may not do something. Anything else may pass. */
const denials: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'UPSTREAM_FORBIDDEN',
  'NOT_FOUND',
  'BASE_NOT_FOUND',
  'SCOPE_MISSING',
  'CONNECTION_NOT_CONNECTED',
  'CONNECTION_NOT_FOUND',
]);

export function deniesAccess(error: unknown): error is AppError {
  return error instanceof AppError && denials.has(error.code);
}
