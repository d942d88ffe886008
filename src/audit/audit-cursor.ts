import { createHash } from 'node:crypto';
import { AppError } from '../errors.ts';

/** What a listing of the audit log asks for; a cursor belongs to exactly one. */
export interface AuditQuery {
  connection: number | null;
  actor: string | null;
  action: string | null;
  /** Included. */
  since: Date | null;
  /** Not included. */
  until: Date | null;
}

/** An entry of a listing, which goes on behind it. */
export interface AuditPlace {
  at: Date;
  id: string;
}

/** Longest cursor that is looked at, in characters; ours are far shorter. */
const maxCursorLength = 200;
const version = 1;

/** Opaque to callers. It carries no secret, and what it claims gives nobody a longer reach. */
export function encodeAuditCursor(query: AuditQuery, { at, id }: AuditPlace): string {
  return Buffer.from(JSON.stringify([version, fingerprint(query), at.getTime(), id])).toString('base64url');
}

/** @throws AppError CURSOR_INVALID for what is no cursor, or one of another query */
export function decodeAuditCursor(query: AuditQuery, cursor: string): AuditPlace {
  const [givenVersion, binding, time, id] = parse(cursor);
  // PostgreSQL's calendar begins later than JavaScript's.
  const at = new Date(typeof time === 'number' && time >= 0 ? time : NaN);
  if (
    givenVersion !== version ||
    Number.isNaN(at.getTime()) ||
    typeof id !== 'string' ||
    !/^\d{1,18}$/.test(id)
  ) {
    throw new AppError(
      'CURSOR_INVALID',
      'The cursor "after" is not one of ours. Take it from `endCursor` or an edge, or begin without it.',
    );
  }
  if (binding !== fingerprint(query)) {
    throw new AppError(
      'CURSOR_INVALID',
      'The cursor "after" belongs to another listing. Keep connection, actor, action, since and until as they were, or begin without it.',
    );
  }
  return { at, id };
}

function parse(cursor: string): unknown[] {
  if (cursor.length > maxCursorLength) return [];
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    return Array.isArray(parts) ? parts : [];
  } catch {
    return [];
  }
}

function fingerprint({ connection, actor, action, since, until }: AuditQuery): string {
  const text = JSON.stringify([
    connection,
    actor,
    action,
    since?.getTime() ?? null,
    until?.getTime() ?? null,
  ]);
  return createHash('sha256').update(text).digest('base64url').slice(0, 16);
}
