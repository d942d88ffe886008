import type { DataSource } from 'typeorm';
import { ConnectionEntity } from './connection.entity.ts';

/** A statement that is about to leave. */
interface Batch {
  ids: Set<number>;
  rows: Promise<Map<number, ConnectionEntity>>;
}

/** Rows that are remembered; there are no more connections than that. */
const maxRecent = 1_000;

/**
 * Reads connections by their ids. Every operation asks for one, so those that ask in the same turn of the event loop share
 * a statement: under load it serves dozens, for what it costs one. The statement leaves after all of them have asked, so
 * nobody is told anything older than by a statement of its own; and nobody waits for one that left before.
 */
export class ConnectionRows {
  readonly #database: DataSource;
  #next: Batch | null = null;
  #statement: string | null = null;
  /** As they were read last, and when that was asked for, by the clock of the process. */
  readonly #recent = new Map<number, { row: ConnectionEntity; askedAt: number }>();

  constructor(database: DataSource) {
    this.#database = database;
  }

  /** The row is shared with others who asked at the same time, and never changed. */
  async find(id: number): Promise<Readonly<ConnectionEntity> | null> {
    // What is no number of a connection must not fail the statement of others.
    if (!Number.isSafeInteger(id)) return null;
    const batch = (this.#next ??= this.#begin());
    batch.ids.add(id);
    return (await batch.rows).get(id) ?? null;
  }

  /** The row if it was read no longer ago than this, for those to whom so little makes no difference. */
  recent(id: number, maxAgeMs: number): Readonly<ConnectionEntity> | null {
    const known = this.#recent.get(id);
    return known && performance.now() - known.askedAt <= maxAgeMs ? known.row : null;
  }

  #begin(): Batch {
    const ids = new Set<number>();
    const rows = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      this.#next = null;
      return this.#read([...ids]);
    });
    return { ids, rows };
  }

  async #read(ids: number[]): Promise<Map<number, ConnectionEntity>> {
    const askedAt = performance.now();
    const found = await this.#database.query<ConnectionEntity[]>((this.#statement ??= this.#select()), [ids]);
    const rows = new Map(found.map((row) => [row.id, Object.assign(new ConnectionEntity(), row)]));
    for (const id of ids) this.#remember(id, rows.get(id), askedAt);
    return rows;
  }

  #remember(id: number, row: ConnectionEntity | undefined, askedAt: number): void {
    // A statement may be answered after one that left later.
    if (askedAt < (this.#recent.get(id)?.askedAt ?? 0)) return;
    this.#recent.delete(id);
    if (row) this.#recent.set(id, { row, askedAt });
    for (const oldest of this.#recent.keys()) if (this.#recent.size > maxRecent) this.#recent.delete(oldest);
  }

  /** All mapped columns, under the names of their properties. Written once: to build it costs more than to send it. */
  #select(): string {
    const columns = this.#database
      .getMetadata(ConnectionEntity)
      .columns.map(({ databaseName, propertyName }) => `"${databaseName}" AS "${propertyName}"`);
    return `SELECT ${columns.join(', ')} FROM connections WHERE id = ANY ($1::bigint[])`;
  }
}
