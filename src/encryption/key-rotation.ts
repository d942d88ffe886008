import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import { envelopePlaces, keyIdOf, type EnvelopePlace } from './envelope-places.ts';
import { countByKey, countOthers, type Query } from './key-census.ts';
import type { SecretCipher } from './secret-cipher.ts';

/*
 * Brings every envelope under the first key of the ring, while servers serve.
 *
 * Column by column, in the order of primary keys, a batch of envelopes under other keys is read, opened, sealed anew,
 * and swapped in one statement. Each is swapped only where the exact envelope that was read still stands, so a token
 * pair that a server stores meanwhile is never overwritten. A row that somebody holds locked is left for later instead
 * of waited for, so the command never stands in a server's way, nor in a deadlock. Nothing is remembered outside the
 * database: killed anywhere, it goes on with what is still under another key.
 *
 * Passes over all columns follow each other until one finds nothing that could be opened. What a later pass finds
 * without an earlier one having left it, a server has sealed meanwhile, one that still has another key in front; when
 * such keep appearing, the passes end and it is told.
 */

/** Envelopes in one statement. */
const maxBatch = 200;

/** Passes over all columns, and the wait between two, in milliseconds. */
const maxPasses = 10;
const passPauseMs = 500;

/** An envelope that stays as it is because it can't be opened. */
export interface UnreadableEnvelope {
  table: string;
  column: string;
  row: string;
  connectionId: number | null;
  connectionName: string | null;
  message: string;
}

export interface RotationResult {
  /** Envelopes that were brought under the first key. */
  resealed: number;
  unreadable: number;
  /** What can be opened and is still not under the first key, because a server goes on sealing with another. */
  left: number;
  /** Keys with which servers sealed while the rotation ran. */
  stillSealing: string[];
}

export interface RotationWatcher {
  /** @param total Envelopes to bring under the first key, as far as known now. */
  onProgress(done: number, total: number): void;
  onUnreadable(envelope: UnreadableEnvelope): void;
}

interface Found {
  row: string;
  envelope: string;
  keyId: string | null;
  connectionId: number | null;
  connectionName: string | null;
}

/** What one pass met. */
interface Pass {
  swapped: number;
  unreadable: number;
  /** Envelopes that were locked or replaced just then. */
  left: Set<string>;
  /** Keys of envelopes that no earlier pass had left. */
  appearedUnder: Set<string>;
}

export class KeyRotation {
  readonly #query: Query;
  readonly #cipher: SecretCipher;
  readonly #watcher: RotationWatcher;
  /** Envelopes that can't be opened, so that each is named once; at most what the columns hold. */
  readonly #named = new Set<string>();

  constructor(deps: { query: Query; cipher: SecretCipher; watcher: RotationWatcher }) {
    this.#query = deps.query;
    this.#cipher = deps.cipher;
    this.#watcher = deps.watcher;
  }

  async run(): Promise<RotationResult> {
    const total = countOthers(await countByKey(this.#query), this.#cipher.sealingKeyId);
    let resealed = 0;
    let leftBefore: ReadonlySet<string> | null = null;
    for (let number = 1; ; number += 1) {
      const pass: Pass = { swapped: 0, unreadable: 0, left: new Set(), appearedUnder: new Set() };
      for (const place of envelopePlaces) {
        for await (const batch of this.#batches(place)) {
          if (leftBefore) this.#noteNew(batch, leftBefore, pass);
          await this.#swap(place, batch, pass);
          this.#watcher.onProgress(resealed + pass.swapped, Math.max(total, resealed + pass.swapped));
        }
      }
      resealed += pass.swapped;
      const isDone = pass.swapped === 0 && pass.left.size === 0;
      if (isDone || number === maxPasses) {
        const others = countOthers(await countByKey(this.#query), this.#cipher.sealingKeyId);
        return {
          resealed,
          unreadable: pass.unreadable,
          left: Math.max(0, others - pass.unreadable),
          stillSealing: isDone ? [] : [...pass.appearedUnder].sort(),
        };
      }
      leftBefore = pass.left;
      if (pass.left.size > 0 || pass.appearedUnder.size > 0) await delay(passPauseMs);
    }
  }

  #noteNew(batch: Found[], leftBefore: ReadonlySet<string>, pass: Pass): void {
    for (const { envelope, keyId } of batch) {
      if (keyId !== null && !leftBefore.has(envelope) && !this.#named.has(envelope))
        pass.appearedUnder.add(keyId);
    }
  }

  async *#batches(place: EnvelopePlace): AsyncGenerator<Found[]> {
    let after: string | null = null;
    for (;;) {
      const batch = await this.#read(place, after);
      const last = batch.at(-1);
      if (!last) return;
      yield batch;
      after = last.row;
    }
  }

  #read({ table, column, key }: EnvelopePlace, after: string | null): Promise<Found[]> {
    return this.#query<Found>(
      `SELECT t.${key.column}::text AS row, t.${column} AS envelope, ${keyIdOf(`t.${column}`)} AS "keyId",
              c.id AS "connectionId", c.name AS "connectionName"
       FROM ${table} AS t LEFT JOIN connections AS c ON c.id = t.connection_id
       WHERE t.${column} IS NOT NULL AND ${keyIdOf(`t.${column}`)} IS DISTINCT FROM $1
         AND ($2::${key.type} IS NULL OR t.${key.column} > $2::${key.type})
       ORDER BY t.${key.column} LIMIT $3`,
      [this.#cipher.sealingKeyId, after, maxBatch],
    );
  }

  async #swap(place: EnvelopePlace, batch: Found[], pass: Pass): Promise<void> {
    const { table, column, key } = place;
    const fresh = batch.flatMap((found) => {
      const sealed = this.#reseal(place, found);
      return sealed === null ? [] : [{ ...found, sealed }];
    });
    pass.unreadable += batch.length - fresh.length;
    if (fresh.length === 0) return;
    const swapped = await this.#query<{ row: string }>(
      `WITH given AS (
         SELECT * FROM unnest($1::${key.type}[], $2::text[], $3::text[]) AS given (key, envelope, sealed)
       ), free AS (
         SELECT t.${key.column} AS key FROM ${table} AS t JOIN given ON t.${key.column} = given.key
         WHERE t.${column} = given.envelope FOR UPDATE OF t SKIP LOCKED
       ), swapped AS (
         UPDATE ${table} AS t SET ${column} = given.sealed FROM given JOIN free ON free.key = given.key
         WHERE t.${key.column} = given.key AND t.${column} = given.envelope RETURNING t.${key.column} AS key
       )
       SELECT key::text AS row FROM swapped`,
      [fresh.map(({ row }) => row), fresh.map(({ envelope }) => envelope), fresh.map(({ sealed }) => sealed)],
    );
    pass.swapped += swapped.length;
    const done = new Set(swapped.map(({ row }) => row));
    for (const { row, envelope } of fresh) if (!done.has(row)) pass.left.add(envelope);
  }

  /** @returns null for what can't be opened. */
  #reseal(
    { table, column }: EnvelopePlace,
    { row, envelope, connectionId, connectionName }: Found,
  ): string | null {
    const place = { table, column, row };
    try {
      return this.#cipher.seal(this.#cipher.open(envelope, place), place);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'SECRET_UNREADABLE') throw error;
      if (!this.#named.has(envelope)) {
        this.#named.add(envelope);
        this.#watcher.onUnreadable({ ...place, connectionId, connectionName, message: error.message });
      }
      return null;
    }
  }
}
