import type { DataSource } from 'typeorm';
import { ConnectionEntity } from './connection.entity.ts';

/** A statement that is about to leave. */
interface Batch {
  ids: Set<number>;
  rows: Promise<Map<number, ConnectionEntity>>;
}

/**
 * Reads connections by their ids. Every operation asks for one, so those that ask in the same turn of the event loop share
 * a statement: under load it serves dozens, for what it costs one. The statement leaves after all of them have asked, so
 * nobody is told anything older than by a statement of its own; and nobody waits for one that left before.
 */
export class ConnectionRows {
  readonly #database: DataSource;
  #next: Batch | null = null;
  #statement: string | null = null;

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

  #begin(): Batch {
    const ids = new Set<number>();
    const rows = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      this.#next = null;
      return this.#read([...ids]);
    });
    return { ids, rows };
  }

  async #read(ids: number[]): Promise<Map<number, ConnectionEntity>> {
    const rows = await this.#database.query<ConnectionEntity[]>((this.#statement ??= this.#select()), [ids]);
    return new Map(rows.map((row) => [row.id, Object.assign(new ConnectionEntity(), row)]));
  }

  /** All mapped columns, under the names of their properties. Written once: to build it costs more than to send it. */
  #select(): string {
    const columns = this.#database
      .getMetadata(ConnectionEntity)
      .columns.map(({ databaseName, propertyName }) => `"${databaseName}" AS "${propertyName}"`);
    return `SELECT ${columns.join(', ')} FROM connections WHERE id = ANY ($1::bigint[])`;
  }
}
