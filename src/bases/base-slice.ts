import { isUpstreamId } from '../calendly/ids.ts';
import type { WireBase } from '../calendly/wire.ts';
import { AppError } from '../errors.ts';

export interface BaseSlice {
  bases: readonly WireBase[];
  hasPreviousPage: boolean;
  hasNextPage: boolean;
}

/**
 * A part of a list of bases.
 * @throws AppError CURSOR_INVALID when `after` is no cursor, or its base has left the list
 */
export function sliceBases(all: readonly WireBase[], length: number, after: string | null): BaseSlice {
  const start = after === null ? 0 : startBehind(after, all);
  const end = start + length;
  return { bases: all.slice(start, end), hasPreviousPage: start > 0, hasNextPage: end < all.length };
}

/** Opaque to callers: the base's own id, encoded, so that it holds whatever joins or leaves the list. */
export function baseCursor({ id }: { id: string }): string {
  return Buffer.from(id).toString('base64url');
}

function startBehind(cursor: string, bases: readonly WireBase[]): number {
  const baseId = Buffer.from(cursor, 'base64url').toString('utf8');
  const index = isUpstreamId('app', baseId) ? bases.findIndex((base) => base.id === baseId) : -1;
  if (index >= 0) return index + 1;
  throw new AppError(
    'CURSOR_INVALID',
    'The cursor "after" does not belong to this list of bases. Take it from `endCursor`, or begin without it.',
  );
}
