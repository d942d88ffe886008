import { createHash } from 'node:crypto';
import { AppError } from '../errors.ts';

/** What a listing lists and in which order; a cursor belongs to exactly one. */
export interface RecordQuery {
  connectionId: number;
  baseId: string;
  tableId: string;
  formula: string | null;
  /** The filter and the search as tests, in the form of `testKey`. */
  tests: readonly string[];
  /** Fields by id. */
  sort: readonly { field: string; direction: 'asc' | 'desc' }[];
  /** As the caller named it. */
  view: string | null;
}

/** A place between two records of a listing. */
export interface RecordPosition {
  /** The upstream's offset of the page that the next record stands in; null for the first page. */
  offset: string | null;
  /** Records of that page that lie before the place. */
  index: number;
  /** The record before the place; null at the very beginning. */
  lastId: string | null;
  /** Records before the place, over all pages. */
  count: number;
  /** How many records the page before the place was asked for. An iterator is asked on with the same number. */
  pageSize: number;
  /** Whether nothing follows. */
  atEnd: boolean;
}

/** Longest cursor that is looked at, in characters; ours are far shorter. */
const maxCursorLength = 2_000;
const version = 1;

/** Opaque to callers. It carries no secret; what it claims is checked against the query and the upstream. */
export function encodeCursor(query: RecordQuery, position: RecordPosition): string {
  const { offset, index, lastId, count, pageSize, atEnd } = position;
  const parts = [version, fingerprint(query), offset, index, lastId, count, pageSize, atEnd ? 1 : 0];
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** @throws AppError CURSOR_INVALID for what is no cursor, or one of another query */
export function decodeCursor(query: RecordQuery, cursor: string): RecordPosition {
  const parts = parseCursor(cursor);
  const [givenVersion, binding, offset, index, lastId, count, pageSize, atEnd] = parts ?? [];
  const isOurs =
    givenVersion === version &&
    isTextOrNull(offset) &&
    isCount(index) &&
    isTextOrNull(lastId) &&
    isCount(count) &&
    isCount(pageSize) &&
    pageSize >= 1 &&
    pageSize <= 100 &&
    index <= 100;
  if (!isOurs) throw notACursor();
  if (binding !== fingerprint(query)) throw cursorOfOther();
  return { offset, index, lastId, count, pageSize, atEnd: atEnd === 1 };
}

export function notACursor(): AppError {
  return new AppError(
    'CURSOR_INVALID',
    'The cursor "after" is not one of ours. Take it from `endCursor` or an edge, or begin without it.',
  );
}

export function cursorOfOther(): AppError {
  return new AppError(
    'CURSOR_INVALID',
    'The cursor "after" belongs to another listing. Keep connection, base, table, filter, formula, search, sort and view as they were, or begin without it.',
  );
}

/** What a cursor holds, whatever it belongs to; null for what is none. */
export function parseCursor(cursor: string): unknown[] | null {
  if (cursor.length > maxCursorLength) return null;
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    return Array.isArray(parts) ? parts : null;
  } catch {
    return null;
  }
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Of a page whose records are asked for with their cursors, each needs it. */
const fingerprints = new WeakMap<RecordQuery, string>();

/** The same text for the same listing. */
export function fingerprint(query: RecordQuery): string {
  let known = fingerprints.get(query);
  if (known === undefined) fingerprints.set(query, (known = computeFingerprint(query)));
  return known;
}

function computeFingerprint({
  connectionId,
  baseId,
  tableId,
  formula,
  tests,
  sort,
  view,
}: RecordQuery): string {
  const sorted = sort.map(({ field, direction }) => [field, direction]);
  const text = JSON.stringify([connectionId, baseId, tableId, formula ?? '', tests, sorted, view ?? '']);
  return createHash('sha256').update(text).digest('base64url').slice(0, 16);
}
