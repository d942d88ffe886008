import { AppError } from '../../errors.ts';

/** Longest key, in characters. */
const maxKeyLength = 255;

/** @throws AppError INVALID_INPUT unless it is left out or 1 to 255 printable characters of ASCII */
export function requireIdempotencyKey(key: string | null | undefined): void {
  if (key == null || (key.length <= maxKeyLength && /^[\x20-\x7e]+$/.test(key))) return;
  throw new AppError(
    'INVALID_INPUT',
    `Idempotency key must be 1 to ${maxKeyLength} printable ASCII characters, such as a UUID`,
    { details: { argument: 'idempotencyKey' } },
  );
}
