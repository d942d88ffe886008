import { DataSource } from 'typeorm';
import { ConnectionEntity } from '../connections/connection.entity.ts';
import { Initial1764000000000 } from './migrations/1764000000000-initial.ts';
import { RateBudgets1764000000001 } from './migrations/1764000000001-rate-budgets.ts';

/** Only entities without secrets are mapped; secrets are read and written by SQL in the one module that decrypts them. */
const entities = [ConnectionEntity];

const migrations = [Initial1764000000000, RateBudgets1764000000001];

/** How long a caller waits for a free connection before it gets an error instead of hanging, in milliseconds. */
const connectTimeoutMs = 2_000;

/** @param poolSize Connections that this process may hold open at once. */
export function createDataSource(url: string, poolSize = 10): DataSource {
  return new DataSource({
    type: 'postgres',
    url,
    entities,
    migrations,
    migrationsTransactionMode: 'each',
    synchronize: false,
    logging: false,
    poolSize,
    connectTimeoutMS: connectTimeoutMs,
    applicationName: 'omnera-calendly-connections',
    extra: { connectionTimeoutMillis: connectTimeoutMs, statement_timeout: 30_000 },
  });
}

/** Any number that only we use: instances that start together migrate one after the other. */
const migrationLock = 4_917_203_311;

/** Brings the schema up to date. Safe to call from several instances at once. */
export async function migrate(database: DataSource): Promise<void> {
  const runner = database.createQueryRunner();
  await runner.connect();
  try {
    await runner.query('SELECT pg_advisory_lock($1)', [migrationLock]);
    try {
      await database.runMigrations();
    } finally {
      await runner.query('SELECT pg_advisory_unlock($1)', [migrationLock]);
    }
  } finally {
    await runner.release();
  }
}
