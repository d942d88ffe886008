import type { Pool, QueryResultRow } from 'pg';
import type { DataSource } from 'typeorm';
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js';

/** A statement that is sent so often that parsing and planning it each time would cost more than running it. */
export interface PreparedStatement {
  /** One name for one text, in all of the process. */
  name: string;
  /** Names the columns that it gives: a prepared `*` fails once the table has got another column. */
  text: string;
}

/**
 * Runs a statement as a transaction of its own, on any connection of the pool, each of which plans it once. That takes one
 * round trip; a transaction of several statements takes two more, while its locks are held.
 */
export async function runPrepared<Row extends QueryResultRow>(
  database: DataSource,
  { name, text }: PreparedStatement,
  values: unknown[],
): Promise<Row[]> {
  const pool = (database.driver as PostgresDriver).master as Pool;
  const { rows } = await pool.query<Row>({ name, text, values });
  return rows;
}
