import { randomUUID } from 'node:crypto';
import type { DataSource, EntityManager } from 'typeorm';
import type { Position } from '../changes/position.ts';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import { beginCapture } from './push/capture.ts';
import {
  syncColumns,
  syncFromRow,
  syncNotFound,
  type Sync,
  type SyncPauseReason,
  type SyncRow,
} from './sync.ts';
import { isUuid } from '../uuid.ts';

/** More syncs than this are refused; it also bounds the list, which has no pages. */
export const maxSyncs = 100;

/** Any number that only we use: syncs are counted, named and added one after the other. */
const creationLock = 1_764_016;

export type NewSync = Pick<
  Sync,
  | 'connectionId'
  | 'baseId'
  | 'tableId'
  | 'direction'
  | 'conflicts'
  | 'targetSchema'
  | 'targetTable'
  | 'owned'
  | 'keyColumns'
  | 'keyTypes'
  | 'columns'
  | 'createdBy'
>;

/** Syncs as rows: created, found, listed, paused. What they do lives in their work. */
export class StoredSyncs {
  readonly #database: DataSource;
  readonly #clock: Clock;

  constructor(deps: { database: DataSource; clock: Clock }) {
    this.#database = deps.database;
    this.#clock = deps.clock;
  }

  /**
   * @param make says what the sync is, under a lock that lets one be made at a time, and makes its table in the same
   *   transaction
   * @param start where in the log of the feed it begins
   * @throws AppError TOO_MANY, NAME_TAKEN
   */
  async create(
    make: (sql: EntityManager) => Promise<NewSync>,
    start: { feedId: number; position: Position },
  ): Promise<Sync> {
    const id = randomUUID();
    await this.#database.transaction(async (sql) => {
      await sql.query('SELECT pg_advisory_xact_lock($1)', [creationLock]);
      await requireRoom(sql);
      const sync = await make(sql);
      await requireUnused(sql, sync);
      await sql.query(
        `INSERT INTO syncs (id, connection_id, base_id, table_id, direction, conflicts, target_schema, target_table, owned, key_columns,
                key_types, columns, state, schema_outdated, feed_id, generation, payload, ordinal, created_by, created_at, updated_at)
         -- The columns are made of a schema that may have been read a while ago, before there was a log that told of changes.
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'filling', true, $13, $14, $15, $16, $17, $18, $18)`,
        [
          id,
          sync.connectionId,
          sync.baseId,
          sync.tableId,
          sync.direction,
          sync.conflicts,
          sync.targetSchema,
          sync.targetTable,
          sync.owned,
          sync.keyColumns,
          sync.keyTypes,
          JSON.stringify(sync.columns),
          start.feedId,
          start.position.generation,
          start.position.payload,
          start.position.ordinal,
          sync.createdBy,
          this.#now(),
        ],
      );
      if (sync.direction !== 'pull') await beginCapture(sql, { ...sync, id });
    });
    return this.get(id);
  }

  /** @throws AppError SYNC_NOT_FOUND */
  async get(id: string): Promise<Sync> {
    const sync = await this.find(id);
    if (!sync) throw syncNotFound(id);
    return sync;
  }

  async find(id: string): Promise<Sync | null> {
    if (!isUuid(id)) return null;
    const [row] = await this.#database.query<SyncRow[]>(
      `SELECT ${syncColumns} FROM syncs AS s WHERE s.id = $1`,
      [id],
    );
    return row ? syncFromRow(row) : null;
  }

  /** The sync as it is, which stays so until the caller's transaction ends. @throws AppError SYNC_NOT_FOUND */
  async lock(sql: EntityManager, id: string): Promise<Sync> {
    const [row] = await sql.query<SyncRow[]>(
      `SELECT ${syncColumns} FROM syncs AS s WHERE s.id = $1 FOR UPDATE`,
      [id],
    );
    if (!row) throw syncNotFound(id);
    return syncFromRow(row);
  }

  /** Oldest first. */
  async list(): Promise<Sync[]> {
    const rows = await this.#database.query<SyncRow[]>(
      `SELECT ${syncColumns} FROM syncs AS s ORDER BY s.created_at, s.id LIMIT $1`,
      [maxSyncs],
    );
    return rows.map(syncFromRow);
  }

  /**
   * Whoever works at it has lost it with that.
   * @param leaseNumber where somebody who works at it says so: nothing is done if that was lost before
   * @returns whether it ran until now
   */
  async pause(
    id: string,
    because: SyncPauseReason,
    problem: string | null,
    leaseNumber: number | null = null,
  ): Promise<boolean> {
    const [, count] = await this.#database.query<[unknown[], number]>(
      `UPDATE syncs SET state = 'paused', paused_because = $2, problem = $3, waits_for = NULL, updated_at = $4, holder = NULL, lease_until = NULL
       WHERE id = $1 AND state <> 'paused' AND ($5::integer IS NULL OR lease_number = $5)`,
      [id, because, problem, this.#now(), leaseNumber],
    );
    return count > 0;
  }

  /** One that is paused for another reason stays so for this one as well. */
  async pauseByHand(id: string): Promise<Sync> {
    await this.#database.query(
      `UPDATE syncs SET state = 'paused', paused_because = 'BY_HAND', problem = NULL, waits_for = NULL, updated_at = $2, holder = NULL, lease_until = NULL
       WHERE id = $1`,
      [id, this.#now()],
    );
    return this.get(id);
  }

  /** With what it remembers of the upstream's records. Its table is not touched. */
  async delete(sql: EntityManager, id: string): Promise<void> {
    await sql.query('DELETE FROM syncs WHERE id = $1', [id]);
  }

  #now(): Date {
    return new Date(this.#clock.now());
  }
}

async function requireRoom(sql: EntityManager): Promise<void> {
  const [row] = await sql.query<{ count: number }[]>('SELECT count(*)::int AS count FROM syncs');
  if ((row?.count ?? 0) < maxSyncs) return;
  throw new AppError(
    'TOO_MANY',
    `This server holds ${maxSyncs} syncs already, which is the limit. Delete one that is no longer used.`,
    { details: { max: maxSyncs } },
  );
}

async function requireUnused(
  sql: EntityManager,
  { targetSchema, targetTable }: Pick<Sync, 'targetSchema' | 'targetTable'>,
): Promise<void> {
  const [row] = await sql.query<{ id: string }[]>(
    'SELECT id FROM syncs WHERE target_schema = $1 AND target_table = $2',
    [targetSchema, targetTable],
  );
  if (!row) return;
  throw new AppError(
    'NAME_TAKEN',
    `The table ${targetSchema}.${targetTable} is the target of the sync ${row.id} already. Name another, or delete that sync first.`,
  );
}
