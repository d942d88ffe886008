import type { DataSource } from 'typeorm';
import type { AuditDetails } from './audit-event.ts';
import { decodeAuditCursor, type AuditPlace, type AuditQuery } from './audit-cursor.ts';

/** An entry as its readers see it. */
export interface AuditEntry {
  /** A bigint, hence a text. */
  id: string;
  at: Date;
  actorId: string;
  actorName: string;
  action: string;
  connectionId: number | null;
  target: string | null;
  /** Null: it was begun, and nobody knows how it ended. */
  outcome: string | null;
  completedAt: Date | null;
  details: AuditDetails;
  requestId: string | null;
}

/** Who reads. Null lists: everything; else entries about these connections and bases, and the reader's own. */
export interface AuditReader {
  id: string;
  connectionIds: number[] | null;
  baseIds: string[] | null;
}

const columns = `id, at, actor_id AS "actorId", actor_name AS "actorName", action, connection_id AS "connectionId",
  target, outcome, completed_at AS "completedAt", details, request_id AS "requestId"`;

/** The reading side of the audit log. */
export class AuditEntries {
  readonly #database: DataSource;

  constructor(database: DataSource) {
    this.#database = database;
  }

  /** Newest first. @throws AppError CURSOR_INVALID */
  async list(
    query: AuditQuery,
    { reader, after, first }: { reader: AuditReader; after: string | null; first: number },
  ): Promise<{ entries: AuditEntry[]; hasMore: boolean }> {
    const place = after === null ? null : decodeAuditCursor(query, after);
    const { text, values } = conditions(query, reader, place);
    const entries = await this.#database.query<AuditEntry[]>(
      `SELECT ${columns} FROM audit_entries ${text} ORDER BY at DESC, id DESC LIMIT $1`,
      [first + 1, ...values],
    );
    return { entries: entries.slice(0, first), hasMore: entries.length > first };
  }
}

/** Only those that were asked for, so that PostgreSQL picks the index that fits. */
function conditions(query: AuditQuery, reader: AuditReader, place: AuditPlace | null) {
  const values: unknown[] = [];
  // $1 is the limit.
  const value = (given: unknown) => `$${values.push(given) + 1}`;
  const all: string[] = [];
  if (query.connection !== null) all.push(`connection_id = ${value(query.connection)}`);
  if (query.actor !== null) all.push(`actor_id = ${value(query.actor)}`);
  if (query.action !== null) all.push(`action = ${value(query.action)}`);
  if (query.since !== null) all.push(`at >= ${value(query.since)}`);
  if (query.until !== null) all.push(`at < ${value(query.until)}`);
  if (place) all.push(`(at, id) < (${value(place.at)}, ${value(place.id)}::bigint)`);
  const reached: string[] = [];
  if (reader.connectionIds) reached.push(`connection_id = ANY(${value(reader.connectionIds)}::integer[])`);
  if (reader.baseIds) {
    // A target is a base, a table in it, or something else of which nobody knows whether it lies within.
    reached.push(`(target IS NULL OR split_part(target, '/', 1) = ANY(${value(reader.baseIds)}::text[]))`);
  }
  if (reached.length > 0) all.push(`(actor_id = ${value(reader.id)} OR ${reached.join(' AND ')})`);
  return { text: all.length > 0 ? `WHERE ${all.join(' AND ')}` : '', values };
}
