import { isUpstreamId } from '../../calendly/ids.ts';
import { AppError } from '../../errors.ts';
import type { RecordQuery } from '../record-cursor.ts';
import { copyBusy } from './copy-turns.ts';
import { cursorOfOther, fingerprint, notACursor, parseCursor } from '../record-cursor.ts';
import { maxTime, minTime, type CopyPlace, type SortCell } from './sort-order.ts';

/** Where a listing of a copy goes on. */
export interface CopyPosition {
  place: CopyPlace;
  /** Records before the place, over all pages. */
  count: number;
}

const version = 2;

/** Opaque to callers. The place is a value, not a number: it stays right while the copy changes. */
export function encodeCopyCursor(query: RecordQuery, { place, count }: CopyPosition): string {
  const parts = [version, fingerprint(query), place.cells, place.createdAt, place.id, count];
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/**
 * @returns null for a cursor of a live listing
 * @throws AppError CURSOR_INVALID for one of another query, and for what only looks like one of ours
 */
export function decodeCopyCursor(query: RecordQuery, cursor: string): CopyPosition | null {
  const [givenVersion, binding, cells, createdAt, id, count] = parseCursor(cursor) ?? [];
  if (givenVersion !== version) return null;
  const isOurs =
    Array.isArray(cells) &&
    cells.length === query.sort.length &&
    cells.every(isSortCell) &&
    isTime(createdAt) &&
    isUpstreamId('rec', id) &&
    Number.isSafeInteger(count) &&
    Number(count) >= 0;
  if (!isOurs) throw notACursor();
  if (binding !== fingerprint(query)) throw cursorOfOther();
  return { place: { cells, createdAt, id }, count: count as number };
}

function isSortCell(value: unknown): value is SortCell {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= minTime && value <= maxTime;
}

/** For a listing of a copy that cannot go on. */
export function copyIsGone(): AppError {
  return new AppError(
    'CURSOR_EXPIRED',
    'The cursor "after" is a place in a copy of the table, and no copy can answer this query any more. Begin again without "after".',
  );
}

/** For a listing of a copy whose next page took too long. */
export function copyIsSlow(): AppError {
  return copyBusy('Searching the copy of the table took longer than five seconds.');
}

/** For a place in a copy whose caller asks for what is live. */
export function needsMaxAge(): AppError {
  return new AppError(
    'CURSOR_INVALID',
    'The cursor "after" is a place in a copy of the table, and a listing goes on where it began. Give "maxAge" as before, or begin again without "after".',
    { details: { argument: 'maxAge' } },
  );
}
