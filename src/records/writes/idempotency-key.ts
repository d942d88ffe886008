import { AppError } from '../../errors.ts';

/** Longest key, in characters. */
const maxIdempotencyKeyLength = 255;

/** What is wrong with a key unless it is left out or printable ASCII; else null. */
export function idempotencyKeyFault(key: string | null | undefined): string | null {
  if (key == null || (key.length <= maxIdempotencyKeyLength && /^[\x20-\x7e]+$/.test(key))) return null;
  return `Idempotency key must be 1 to ${maxIdempotencyKeyLength} printable ASCII characters, such as a UUID`;
}

/** @throws AppError INVALID_INPUT */
export function requireIdempotencyKey(key: string | null | undefined): void {
  const fault = idempotencyKeyFault(key);
  if (fault !== null) throw new AppError('INVALID_INPUT', fault, { details: { argument: 'idempotencyKey' } });
}
