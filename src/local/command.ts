import { existsSync } from 'node:fs';
import { ConfigError, type Config } from '../config.ts';
import { createDataSource } from '../database/data-source.ts';
import { AppError } from '../errors.ts';
import { visitLocalDatabase } from './visit.ts';
import type { DataSource } from 'typeorm';

/** What a command reads and writes besides its arguments; `process` is one. */
export interface Surroundings {
  env: Record<string, string | undefined>;
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown };
}

/** @param args What stands behind the name of the program. @returns its exit code. */
export type Command = (args: string[], around: Surroundings) => Promise<number>;

/** Runs a command as the program of this process. */
export async function runCommand(command: Command): Promise<void> {
  // A database that was started for this visit is told to end when the process exits, which a bare signal would skip.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => process.exit(1));
  // What the environment sets already stays as it is.
  if (existsSync('.env')) process.loadEnvFile('.env');
  process.exitCode = await callCommand(command, process.argv.slice(2), process);
}

/** Runs a command to its exit code. What is expected to go wrong is told in words, without a stack. */
export async function callCommand(command: Command, args: string[], around: Surroundings): Promise<number> {
  try {
    return await command(args, around);
  } catch (error) {
    around.stderr.write(`${wordsFor(error)}\n`);
    return 1;
  }
}

/**
 * Opens the database of the configuration for a command, beside a server that runs or without one.
 * @throws AppError when it can't be reached, or is not of this version
 */
export async function withDatabase<T>(config: Config, use: (database: DataSource) => Promise<T>): Promise<T> {
  const place = config.databaseUrl
    ? { url: config.databaseUrl, leave: () => Promise.resolve() }
    : await visitLocalDatabase(config.dataDir);
  try {
    return await onDatabase(place.url, use);
  } finally {
    await place.leave();
  }
}

async function onDatabase<T>(url: string, use: (database: DataSource) => Promise<T>): Promise<T> {
  const database = createDataSource(url);
  try {
    await database.initialize();
  } catch (cause) {
    const { code } = cause as { code?: unknown };
    const reason = cause instanceof Error ? cause.message : '';
    throw new AppError(
      'DATABASE_UNAVAILABLE',
      `The database cannot be reached (${reason || String(code)}). Check that it runs, and DATABASE_URL.`,
      { cause },
    );
  }
  try {
    // A server brings its database up to date when it starts; a command beside it had better not.
    if (await database.showMigrations()) {
      throw new AppError(
        'INTERNAL',
        'The database is empty or of an older version. Start the server once, which brings it up to date.',
      );
    }
    return await use(database);
  } finally {
    await database.destroy();
  }
}

function wordsFor(error: unknown): string {
  if (error instanceof AppError || error instanceof ConfigError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
