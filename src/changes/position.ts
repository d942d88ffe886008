import { createHash } from 'node:crypto';
import { AppError } from '../errors.ts';

/**
 * A place in the log of one feed. Payload numbers are the upstream's own, per webhook; the generation tells the
 * webhooks of a feed apart and rises from one to the next. So the same change has the same position after a crash, a
 * second reading or a restore.
 */
export interface Position {
  generation: number;
  payload: number;
  /** Within the payload, from 0. */
  ordinal: number;
}

/** Before everything. */
export const origin: Position = { generation: 0, payload: 0, ordinal: 0 };

/** Negative when `a` lies before `b`, 0 when they are the same. */
export function comparePositions(a: Position, b: Position): number {
  return a.generation - b.generation || a.payload - b.payload || a.ordinal - b.ordinal;
}

/** Digits of a place, per number. */
const placeDigits = 8;

/** A position as text that stands in the order of positions. */
export function placeOf({ generation, payload, ordinal }: Position): string {
  return [generation, payload, ordinal]
    .map((number) => number.toString(16).padStart(placeDigits, '0'))
    .join('');
}

export function positionAt(place: string): Position {
  const [generation = 0, payload = 0, ordinal = 0] = [0, 1, 2].map((index) =>
    Number.parseInt(place.slice(index * placeDigits, (index + 1) * placeDigits), 16),
  );
  return { generation, payload, ordinal };
}

const keyBytes = 11;
const cursorVersion = 1;
const cursorBytes = 1 + keyBytes + 3 * 4;

/**
 * Names a feed in cursors by what it is about rather than by its row, so that no other feed can take a cursor for its
 * own, not even one that got the same row id after a restore.
 */
export function feedKey(clientId: string, baseId: string): string {
  return createHash('sha256')
    .update(JSON.stringify([clientId, baseId]))
    .digest()
    .subarray(0, keyBytes)
    .toString('base64url');
}

export function encodeCursor(key: string, position: Position): string {
  const bytes = Buffer.alloc(cursorBytes);
  bytes.writeUInt8(cursorVersion, 0);
  Buffer.from(key, 'base64url').copy(bytes, 1, 0, keyBytes);
  bytes.writeUInt32BE(position.generation, 1 + keyBytes);
  bytes.writeUInt32BE(position.payload, 5 + keyBytes);
  bytes.writeUInt32BE(position.ordinal, 9 + keyBytes);
  return bytes.toString('base64url');
}

/** Positions are stored as PostgreSQL integers. */
const maxNumber = 2 ** 31 - 1;

/** @throws AppError CURSOR_INVALID unless the cursor is one of this feed's. */
export function decodeCursor(key: string, cursor: string): Position {
  const bytes = Buffer.from(cursor, 'base64url');
  if (bytes.length !== cursorBytes || bytes.toString('base64url') !== cursor || bytes[0] !== cursorVersion) {
    throw new AppError(
      'CURSOR_INVALID',
      'The cursor is not one that this server gave out. Pass it back exactly as it came, or leave it out.',
    );
  }
  if (bytes.subarray(1, 1 + keyBytes).toString('base64url') !== key) {
    throw new AppError(
      'CURSOR_INVALID',
      'The cursor belongs to another base, or to a connection of another OAuth client. Leave it out to start from now.',
    );
  }
  const [generation, payload, ordinal] = [0, 4, 8].map((offset) => bytes.readUInt32BE(1 + keyBytes + offset));
  if (
    generation === undefined ||
    payload === undefined ||
    ordinal === undefined ||
    Math.max(generation, payload, ordinal) > maxNumber
  ) {
    throw new AppError(
      'CURSOR_INVALID',
      'The cursor is not one that this server gave out. Pass it back exactly as it came, or leave it out.',
    );
  }
  return { generation, payload, ordinal };
}
