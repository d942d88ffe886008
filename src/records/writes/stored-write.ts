import { performance } from 'node:perf_hooks';
import type { DataSource } from 'typeorm';
import type { TableSchema } from '../../bases/table-schema.ts';
import { AppError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { Ten } from './tens.ts';
import type { Confirmed } from './write-calls.ts';
import type { WriteResult, WriteStatus } from './write-result.ts';
import type { UnsentRecords } from './write-rows.ts';

/** An instance that has not renewed a write for so long is taken for dead, in seconds. */
export const leaseSeconds = 15;

/** What is known of a write when it begins. */
export interface NewWrite {
  id: string;
  connectionId: number;
  baseId: string;
  caller: string;
  mutation: string;
  /** SHA-256; null for a write that nobody can ask for again. */
  keyHash: Buffer | null;
  inputHash: Buffer;
  recordCount: number;
  createdAt: Date;
}

/**
 * One write that is being carried out here. Each ten is stored as SENDING before it leaves and with its outcome once that
 * is known; so whoever finds the rows knows what may have taken effect, even if this process has ended meanwhile. A write
 * that others have given up, because this process did not renew its lease, sends nothing more.
 */
export class StoredWrite {
  readonly id: string;
  readonly #database: DataSource;
  readonly #logger: Logger;
  readonly #write: NewWrite;
  #isStored: boolean;
  #hasSent = false;
  /** When the lease was last known to be ours, by `performance.now()`. */
  #heldAt = performance.now();
  #isGivenUp = false;

  constructor(deps: { database: DataSource; logger: Logger; write: NewWrite; isStored: boolean }) {
    this.#database = deps.database;
    this.#logger = deps.logger;
    this.#write = deps.write;
    this.id = deps.write.id;
    this.#isStored = deps.isStored;
  }

  /** Tells that the lease was renewed, by a query that began at a moment of `performance.now()`. */
  renewed(at: number): void {
    this.#heldAt = Math.max(this.#heldAt, at);
  }

  /** Tells that others have ended the write. */
  givenUp(): void {
    this.#isGivenUp = true;
  }

  /** Why nothing of it may leave any more. Without a key nobody can ask for it, and so nobody gives it up. */
  refusal(): AppError | null {
    if (this.#write.keyHash === null) return null;
    const ageMs = performance.now() - this.#heldAt;
    return this.#isGivenUp || ageMs >= leaseSeconds * 1_000 ? stoodStill() : null;
  }

  /**
   * Also notes the write for copies of the base, since what comes after it may fail to be stored.
   * @throws what the database throws, or AppError when others have given the write up; the ten must not leave then
   */
  async sending(
    { ordinal, indexes }: Pick<Ten<unknown>, 'ordinal' | 'indexes'>,
    table: TableSchema,
    recordIds: readonly (string | null)[],
    fingerprints: readonly (Buffer | null)[] | null,
  ): Promise<void> {
    if (!this.#isStored) await insertWrite(this.#database, this.#write);
    this.#isStored = true;
    const askedAt = performance.now();
    const computed = table.fields.filter((field) => field.computed).map(({ id }) => id);
    const stored = await this.#database.query<object[]>(
      `WITH operation AS (
         UPDATE write_operations SET lease_until = clock_timestamp() + make_interval(secs => $7), table_id = $8, computed_fields = $9
         WHERE id = $1 AND finished_at IS NULL RETURNING id
       ), noted AS (${noteWrite('$10')})
       INSERT INTO write_tens (operation_id, ordinal, state, indexes, record_ids, fingerprints)
       SELECT id, $2, $3, $4, $5, $6 FROM operation RETURNING ordinal`,
      [
        this.id,
        ordinal,
        'SENDING',
        indexes,
        recordIds,
        fingerprints,
        leaseSeconds,
        table.id,
        computed,
        this.#write.baseId,
      ],
    );
    if (stored.length === 0) throw stoodStill();
    this.#heldAt = askedAt;
    this.#hasSent = true;
  }

  /** A failure to store it is logged only: the caller hears the outcome, and who asks again hears that it is unknown. */
  async ended(
    ordinal: number,
    outcome: { state: WriteStatus; confirmed?: readonly Confirmed[]; error?: AppError },
  ): Promise<void> {
    const { state, confirmed, error } = outcome;
    const mayHaveTakenEffect = state === 'WRITTEN' || state === 'OUTCOME_UNKNOWN';
    const noted = mayHaveTakenEffect ? this.#write.baseId : null;
    const isStored = await this.#quietly(
      `WITH noted AS (${noteWrite('$8')})
       UPDATE write_tens SET state = $3, record_ids = coalesce($4, record_ids), effects = $5, error_code = $6, error_message = $7, warnings = $9
       WHERE operation_id = $1 AND ordinal = $2 AND state IN ('SENDING', 'OUTCOME_UNKNOWN')`,
      [
        this.id,
        ordinal,
        state,
        confirmed?.map(({ recordId }) => recordId) ?? null,
        confirmed?.map(({ effect }) => effect) ?? null,
        error?.code ?? null,
        error?.message ?? null,
        noted,
        confirmed?.some(({ warning }) => warning !== null) ? confirmed.map(({ warning }) => warning) : null,
      ],
    );
    // The note from before it left holds for copies that were asked for until then, and not for one asked for since.
    if (!isStored && noted !== null) await this.#quietly(noteWrite('$1'), [noted]);
  }

  /** Ends the write. One of which nothing was sent is forgotten, so that its key may be used for another attempt. */
  async finished(results: readonly WriteResult[]): Promise<void> {
    if (!this.#isStored) return;
    const nothingLeft = results.every(
      ({ status, error }) =>
        status === 'NOT_SENT' || (status === 'FAILED' && error?.details.upstreamStatus === undefined),
    );
    if (nothingLeft || !this.#hasSent) return this.forgotten();
    await this.#quietly(
      `UPDATE write_operations SET finished_at = clock_timestamp(), unsent = $2 WHERE id = $1 AND finished_at IS NULL`,
      [this.id, JSON.stringify(unsentOf(results))],
    );
  }

  /** For a write that came to nothing before anything was sent. */
  async forgotten(): Promise<void> {
    if (this.#isStored) await this.#quietly('DELETE FROM write_operations WHERE id = $1', [this.id]);
  }

  /** @returns whether it was stored */
  async #quietly(text: string, params: unknown[]): Promise<boolean> {
    try {
      await this.#database.query(text, params);
      return true;
    } catch (error) {
      this.#logger.error({ err: error, write: this.id }, 'the outcome of a write could not be stored');
      return false;
    }
  }
}

/**
 * Notes that a base was written to: copies of its tables lack the write until they have heard of it, and it shows in the
 * links of other tables. By the clock by which copies tell how old they are.
 * @param baseId as the statement has it; nothing is noted of null
 */
export function noteWrite(baseId: string): string {
  return `INSERT INTO base_writes (base_id, written_at)
    SELECT base_id, clock_timestamp() FROM syncs WHERE base_id = ${baseId}::text LIMIT 1
    ON CONFLICT (base_id) DO UPDATE SET written_at = greatest(base_writes.written_at, excluded.written_at)`;
}

function stoodStill(): AppError {
  return new AppError(
    'SHUTTING_DOWN',
    'This server stood still for too long, and the write was given up meanwhile. Send what was not sent again with another key.',
  );
}

/** @returns whether it was stored: false when the key is in use */
export async function insertWrite(database: Pick<DataSource, 'query'>, write: NewWrite): Promise<boolean> {
  const rows = await database.query<object[]>(
    `INSERT INTO write_operations (id, connection_id, base_id, caller, mutation, key_hash, input_hash, record_count, created_at, lease_until)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp() + make_interval(secs => $10))
     ON CONFLICT (caller, mutation, key_hash) DO NOTHING RETURNING id`,
    [
      write.id,
      write.connectionId,
      write.baseId,
      write.caller,
      write.mutation,
      write.keyHash,
      write.inputHash,
      write.recordCount,
      write.createdAt,
      leaseSeconds,
    ],
  );
  return rows.length > 0;
}

/** Neighbours that met the same are told together. What was written is in the tens. */
function unsentOf(results: readonly WriteResult[]): UnsentRecords[] {
  const groups: UnsentRecords[] = [];
  for (const { index, status, recordId, error } of results) {
    if (error === null || status === 'WRITTEN' || status === 'OUTCOME_UNKNOWN') continue;
    const last = groups.at(-1);
    if (last?.status === status && last.code === error.code && last.message === error.message) {
      last.indexes.push(index);
      last.recordIds.push(recordId);
    } else {
      groups.push({
        indexes: [index],
        recordIds: [recordId],
        status,
        code: error.code,
        message: error.message,
      });
    }
  }
  return groups;
}
