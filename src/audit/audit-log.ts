import type { DataSource } from 'typeorm';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { AuditBeginning, AuditDetails, AuditEnding, RecordAudit } from './audit-event.ts';

/** Longest text of an entry, and longest names of what was done and what came of it, in characters. */
const maxTextLength = 200;
const maxWordLength = 100;

/** Longest details that the beginning and the end of an entry may each bring, in bytes of JSON. */
const maxDetailsBytes = 1_500;

/** Entries that one statement deletes, so that none takes long. */
const pruneBatchSize = 5_000;

/**
 * The audit log, which PostgreSQL keeps append-only. What is written in one piece is `record`ed when it has happened.
 * What must not happen unless it is written down is begun first and ended once: an entry whose outcome stays null says
 * that the server stopped, or lost its database, before the outcome was known.
 */
export class AuditLog {
  readonly #database: DataSource;
  readonly #logger: Logger;

  constructor(deps: { database: DataSource; logger: Logger }) {
    this.#database = deps.database;
    this.#logger = deps.logger;
  }

  /** A function of its own, to be handed to whoever writes entries. */
  readonly record: RecordAudit = async (event) => {
    try {
      await this.#insert(event);
    } catch (error) {
      this.#logger.error({ err: error, audit: event }, 'an audit entry could not be stored');
    }
  };

  /**
   * Writes down what is about to be done. Nothing may be done unless this has succeeded.
   * @returns the entry's id, for `end`.
   * @throws AppError DATABASE_UNAVAILABLE
   */
  async begin(event: AuditBeginning): Promise<string> {
    try {
      return await this.#insert(event);
    } catch (error) {
      this.#logger.error({ err: error, audit: event }, 'an audit entry could not be stored; refused');
      throw new AppError(
        'DATABASE_UNAVAILABLE',
        `${event.action} was not done: it could not be written to the audit log first, because the database does not answer. Try again in a few seconds.`,
        { cause: error },
      );
    }
  }

  /** Completes an entry, once. Never rejects: what was done is done, and is in the server's log if not here. */
  async end(id: string, ending: AuditEnding): Promise<void> {
    try {
      await this.#database.query(
        `UPDATE audit_entries
         SET outcome = $2, completed_at = clock_timestamp(), connection_id = coalesce(connection_id, $3),
             target = coalesce(target, $4), details = $5::jsonb || details
         WHERE id = $1 AND outcome IS NULL`,
        [
          id,
          cut(ending.outcome, maxWordLength),
          ending.connectionId ?? null,
          cut(ending.target),
          detailsJson(ending.details),
        ],
      );
    } catch (error) {
      this.#logger.error(
        { err: error, auditEntry: id, audit: ending },
        'the outcome of an audit entry could not be stored',
      );
    }
  }

  /**
   * Does something that must not happen unless it is written down.
   * @param tell What to write about how it ended.
   * @throws AppError DATABASE_UNAVAILABLE before anything is done, and whatever `run` throws.
   */
  async during<T>(
    event: AuditBeginning,
    run: () => Promise<T>,
    tell: { done: (result: T) => AuditEnding; failed: (error: unknown) => AuditEnding },
  ): Promise<T> {
    const id = await this.begin(event);
    let result: T;
    try {
      result = await run();
    } catch (error) {
      await this.end(id, tell.failed(error));
      throw error;
    }
    await this.end(id, tell.done(result));
    return result;
  }

  /**
   * Deletes what is older, a batch at a time; any number of instances may do so at once. PostgreSQL refuses less than
   * 30 days. @returns how many entries are gone.
   */
  async prune(retentionDays: number, signal?: AbortSignal): Promise<number> {
    let total = 0;
    for (let deleted = pruneBatchSize; deleted === pruneBatchSize && !signal?.aborted; total += deleted) {
      const [row] = await this.#database.query<{ deleted: number }[]>(
        'SELECT prune_audit_entries($1, $2) AS deleted',
        [retentionDays, pruneBatchSize],
      );
      deleted = row?.deleted ?? 0;
    }
    return total;
  }

  async #insert(event: AuditBeginning & Partial<AuditEnding>): Promise<string> {
    const rows = await this.#database.query<{ id: string }[]>(
      `INSERT INTO audit_entries (actor_id, actor_name, action, connection_id, target, outcome, completed_at, details, request_id)
       VALUES ($1, $2, $3, $4, $5, $6::text, CASE WHEN $6::text IS NULL THEN NULL ELSE clock_timestamp() END, $7, $8) RETURNING id`,
      [
        cut(event.actor.id),
        cut(event.actor.name),
        cut(event.action, maxWordLength),
        event.connectionId ?? null,
        cut(event.target),
        cut(event.outcome, maxWordLength),
        detailsJson(event.details),
        cut(event.requestId),
      ],
    );
    return (rows[0] as { id: string }).id;
  }
}

/** PostgreSQL stores neither NUL nor halves of characters, and counts whole ones. */
function cut(text: string | null | undefined, length = maxTextLength): string | null {
  return text == null ? null : [...text.replace(/[\0\uD800-\uDFFF]/gu, '')].slice(0, length).join('');
}

/** An entry is written whatever its details are: those that are too long go, and it says so. */
function detailsJson(details: AuditDetails = {}): string {
  const text = JSON.stringify(
    Object.fromEntries(
      Object.entries(details).map(([name, value]) => [name, typeof value === 'string' ? cut(value) : value]),
    ),
  );
  return Buffer.byteLength(text) <= maxDetailsBytes ? text : '{"detailsCut": true}';
}
