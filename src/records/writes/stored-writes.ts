import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import type { Operation } from '../../calendly/operation.ts';
import { withinOperation } from '../../calendly/within-operation.ts';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { settleUnknown, type FindCreations } from './settling.ts';
import { insertWrite, leaseSeconds, noteWrite, StoredWrite, type NewWrite } from './stored-write.ts';
import { resultsOf, type OperationRow, type TenRow } from './write-rows.ts';
import type { WriteResult } from './write-result.ts';

/** How long a write is remembered, in milliseconds. Its key means a new write afterwards. */
export const keptMs = 24 * 60 * 60_000;
const pruneIntervalMs = 10 * 60_000;
const pruneBatchSize = 1_000;
/** Writes that are under way here are renewed so often, in milliseconds. */
const renewIntervalMs = 4_000;
/** Who waits for the first write with a key looks so often, in milliseconds. */
const lookIntervalMs = 100;

export type ClaimedWrite = Omit<NewWrite, 'id' | 'createdAt'>;

/** A write that is the caller's to carry out, or what became of the one that has its key. */
export type Claim = { mine: StoredWrite } | { tableId: string; results: WriteResult[] };

/**
 * The writes of the last day. A key belongs to a caller and a mutation; whoever comes first with it carries the write out,
 * and everybody later waits for that and is told what became of it, however often and wherever.
 */
export class StoredWrites {
  readonly #database: DataSource;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #findCreations: FindCreations;
  readonly #running = new Map<string, StoredWrite>();
  readonly #stopping = new AbortController();
  #timers: NodeJS.Timeout[] = [];

  constructor(deps: { database: DataSource; clock: Clock; logger: Logger; findCreations: FindCreations }) {
    this.#database = deps.database;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#findCreations = deps.findCreations;
  }

  start(): void {
    const every = (ms: number, upkeep: () => Promise<void>) =>
      setInterval(() => void upkeep().catch((error: unknown) => this.#warn(error)), ms);
    this.#timers = [every(renewIntervalMs, () => this.renew()), every(pruneIntervalMs, () => this.prune())];
  }

  /** Aborted when the server stops: what has not left by then is not sent. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Lets the calls in flight be the last ones of their writes. */
  stop(): void {
    this.#stopping.abort(new AppError('SHUTTING_DOWN', 'The server is shutting down. Send the rest again.'));
  }

  close(): void {
    this.stop();
    for (const timer of this.#timers) clearInterval(timer);
  }

  /**
   * Takes the write, or waits for the one that has its key.
   * @throws AppError IDEMPOTENCY_KEY_REUSED when the key was given with other input; what ends the wait
   */
  async claim(request: ClaimedWrite, operation: Operation): Promise<Claim> {
    if (request.keyHash === null)
      return { mine: this.#taken(this.#storedWrite(this.#newWrite(request), false)) };
    for (;;) {
      await this.#database.query(
        `DELETE FROM write_operations WHERE caller = $1 AND mutation = $2 AND key_hash = $3 AND created_at <= $4`,
        [request.caller, request.mutation, request.keyHash, this.#oldest],
      );
      const write = this.#newWrite(request);
      const mine = this.#storedWrite(write, true);
      if (await insertWrite(this.#database, write)) return { mine: this.#taken(mine) };
      const first = await this.#find(request);
      if (!first) continue;
      if (!first.input_hash.equals(request.inputHash)) throw keyReused();
      if (first.finished_at !== null) {
        const results = await this.#resultsOf(first);
        if (results) return { tableId: first.table_id ?? '', results };
      } else if (first.abandoned) await this.#giveUp(first);
      else await withinOperation(delay(lookIntervalMs), operation, this.#clock);
    }
  }

  /** The write is carried out no longer; its rows tell the rest. */
  release({ id }: StoredWrite): void {
    this.#running.delete(id);
  }

  /** Tells the others that the writes under way here are, and these which of them others have given up. */
  async renew(): Promise<void> {
    const running = [...this.#running.values()];
    if (running.length === 0) return;
    const askedAt = performance.now();
    const [rows] = await this.#database.query<[{ id: string }[], number]>(
      `UPDATE write_operations SET lease_until = clock_timestamp() + make_interval(secs => $2)
       WHERE id = ANY($1) AND finished_at IS NULL RETURNING id`,
      [running.map(({ id }) => id), leaseSeconds],
    );
    const held = new Set(rows.map(({ id }) => id));
    for (const write of running) {
      if (held.has(write.id)) write.renewed(askedAt);
      else write.givenUp();
    }
  }

  /** Forgets what is older than a day, a batch at a time. Any number of instances may do so at once. */
  async prune(): Promise<void> {
    for (let deleted = pruneBatchSize; deleted === pruneBatchSize;) {
      const [, count] = await this.#database.query<[unknown, number]>(
        `DELETE FROM write_operations WHERE id IN
           (SELECT id FROM write_operations WHERE created_at <= $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
        [this.#oldest, pruneBatchSize],
      );
      deleted = count;
    }
  }

  get #oldest(): Date {
    return new Date(this.#clock.now() - keptMs);
  }

  #storedWrite(write: NewWrite, isStored: boolean): StoredWrite {
    return new StoredWrite({ database: this.#database, logger: this.#logger, write, isStored });
  }

  /** From here on it is renewed. */
  #taken(write: StoredWrite): StoredWrite {
    this.#running.set(write.id, write);
    return write;
  }

  #newWrite(request: ClaimedWrite): NewWrite {
    return { ...request, id: randomUUID(), createdAt: new Date(this.#clock.now()) };
  }

  async #find(request: ClaimedWrite): Promise<OperationRow | null> {
    const [row] = await this.#database.query<OperationRow[]>(
      `SELECT *, finished_at IS NULL AND lease_until < clock_timestamp() AS abandoned
       FROM write_operations WHERE caller = $1 AND mutation = $2 AND key_hash = $3`,
      [request.caller, request.mutation, request.keyHash],
    );
    return row ?? null;
  }

  /** @returns null when the write has been forgotten since it was found */
  async #resultsOf(operation: OperationRow): Promise<WriteResult[] | null> {
    let tens = await this.#tensOf(operation.id);
    if (tens && (await settleUnknown(this.#database, operation, tens, this.#findCreations)))
      tens = await this.#tensOf(operation.id);
    return tens && resultsOf(operation, tens);
  }

  /** From here on its instance, should it wake up again, sends nothing more of it. */
  async #giveUp({ id, base_id }: OperationRow): Promise<void> {
    await this.#database.query(
      `WITH operation AS (
         UPDATE write_operations SET finished_at = clock_timestamp()
         WHERE id = $1 AND finished_at IS NULL AND lease_until < clock_timestamp() RETURNING id
       ), noted AS (${noteWrite('$2')})
       UPDATE write_tens SET state = 'OUTCOME_UNKNOWN' FROM operation WHERE operation_id = operation.id AND state = 'SENDING'`,
      [id, base_id],
    );
  }

  /** In one snapshot with the write itself: one that is being forgotten must not look like one that sent nothing. */
  async #tensOf(id: string): Promise<TenRow[] | null> {
    const rows = await this.#database.query<(TenRow | { ordinal: null })[]>(
      `SELECT ten.* FROM write_operations AS operation LEFT JOIN write_tens AS ten ON ten.operation_id = operation.id
       WHERE operation.id = $1 ORDER BY ten.ordinal`,
      [id],
    );
    return rows.length === 0 ? null : rows.filter((row): row is TenRow => row.ordinal !== null);
  }

  #warn(error: unknown): void {
    if (!this.#stopping.signal.aborted) this.#logger.warn({ err: error }, 'upkeep of stored writes failed');
  }
}

function keyReused(): AppError {
  return new AppError(
    'IDEMPOTENCY_KEY_REUSED',
    'This idempotency key was used for a write with other input. Take a new key for a new write; send exactly the same input to hear of the first.',
  );
}
