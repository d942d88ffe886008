import { existsSync } from 'node:fs';
import { ApiKeys } from './access/api-keys.ts';
import { keysHelp, readKeysCommand, runKeysCommand } from './access/keys-command.ts';
import { ConfigError, readConfig } from './config.ts';
import { createDataSource } from './database/data-source.ts';
import { AppError } from './errors.ts';
import { visitLocalDatabase } from './local/visit.ts';

/** `npm run keys`: API keys by command line, beside a server that runs or without one. @returns the exit code. */
async function main(args: string[]): Promise<number> {
  try {
    const command = readKeysCommand(args, Date.now());
    if (command.kind === 'help') {
      process.stdout.write(keysHelp);
      return 0;
    }
    // What the environment sets already stays as it is.
    if (existsSync('.env')) process.loadEnvFile('.env');
    const config = readConfig(process.env);
    const place = config.databaseUrl
      ? { url: config.databaseUrl, leave: () => Promise.resolve() }
      : await visitLocalDatabase(config.dataDir);
    try {
      const { output, note } = await withKeys(place.url, (keys) => runKeysCommand(command, keys));
      process.stderr.write(note);
      process.stdout.write(output);
    } finally {
      await place.leave();
    }
    return 0;
  } catch (error) {
    process.stderr.write(`${wordsFor(error)}\n`);
    return 1;
  }
}

async function withKeys<T>(url: string, use: (keys: ApiKeys) => Promise<T>): Promise<T> {
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
    return await use(new ApiKeys(database));
  } finally {
    await database.destroy();
  }
}

/** What is expected to go wrong needs no stack. */
function wordsFor(error: unknown): string {
  if (error instanceof AppError || error instanceof ConfigError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

// A database that was started for this visit is told to end when the process exits, which a bare signal would skip.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => process.exit(1));

process.exitCode = await main(process.argv.slice(2));
