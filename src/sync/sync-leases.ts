import type { DataSource } from 'typeorm';
import { Turns } from '../turns.ts';
import { leaseSeconds, SyncLease, type HeldSync } from './sync-lease.ts';

/** Transactions of syncs at once, per process. Each holds a connection: all at once would leave none to anybody else. */
const maxAtATime = 3;

/** Which syncs one process works at, held on their rows by PostgreSQL's clock. */
export class SyncLeases {
  readonly #database: DataSource;
  readonly #holder: string;
  readonly #turns = new Turns(maxAtATime);

  /** @param holder a UUID of this process */
  constructor(database: DataSource, holder: string) {
    this.#database = database;
    this.#holder = holder;
  }

  /**
   * Extends what is ours and takes what nobody works at, at most so many. Whatever had ended, or was given away, is taken
   * anew, by another number: pausing and turning a sync give it away, so only here a number is raised.
   * @returns all that are ours now
   */
  async claim(limit: number): Promise<HeldSync[]> {
    const [rows] = await this.#database.query<[HeldSync[], number]>(
      `UPDATE syncs SET holder = $1, lease_until = clock_timestamp() + make_interval(secs => $2),
              lease_number = lease_number + CASE WHEN holder = $1 AND lease_until >= clock_timestamp() THEN 0 ELSE 1 END
       WHERE id IN (
         SELECT id FROM syncs WHERE state <> 'paused' AND (holder = $1 OR holder IS NULL OR lease_until < clock_timestamp())
         ORDER BY (holder IS NOT DISTINCT FROM $1) DESC, created_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED)
       RETURNING id, lease_number AS number`,
      [this.#holder, leaseSeconds, limit],
    );
    return rows;
  }

  /** The right to work at a sync that was claimed. */
  lease(held: HeldSync): SyncLease {
    return new SyncLease(held, {
      database: this.#database,
      holder: this.#holder,
      turns: this.#turns,
    });
  }

  /** So that others need not wait for the lease to end. */
  async releaseAll(): Promise<void> {
    await this.#database.query('UPDATE syncs SET holder = NULL, lease_until = NULL WHERE holder = $1', [
      this.#holder,
    ]);
  }
}
