import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { migrate } from '../../src/database/data-source.ts';
import { LocalPostgres, stopLeftoverServer } from '../../src/local/postgres.ts';
import { processIdentity } from '../../src/local/process-identity.ts';

/** Of temporary folders with a PostgreSQL in `data`, followed by the process that made it and a dash. */
export const folderPrefix = 'omnera-calendly-test-';
const maxConnections = 300;

/** The PostgreSQL of one test run, with a migrated template database that every suite clones. */
export interface DatabaseServer {
  /** The server, by the database from which others are created. */
  url: string;
  templateName: string;
  /** How a database is cloned, as SQL behind the name of what it is cloned from. */
  strategy: '' | 'STRATEGY FILE_COPY';
  stop(): Promise<void>;
}

/** `TEST_DATABASE_URL` names a server to use instead of one of our own; its role must be allowed to create databases. */
export async function startDatabaseServer(givenUrl: string | undefined): Promise<DatabaseServer> {
  const templateName = `template_${randomBytes(6).toString('hex')}`;
  if (givenUrl) {
    await createTemplate(givenUrl, templateName);
    const stop = (): Promise<void> => execute(givenUrl, `DROP DATABASE IF EXISTS ${templateName}`);
    // Those before 15 know no other, and none by name.
    return { url: givenUrl, templateName, strategy: '', stop };
  }
  await removeLeftovers();
  const folder = await mkdtemp(join(tmpdir(), `${folderPrefix}${process.pid}-`));
  // mkdtemp shuts everybody else out; when we are root, the server's own user has to pass through.
  await chmod(folder, 0o711);
  const server = await LocalPostgres.start({ dataDir: join(folder, 'data'), maxConnections, durable: false });
  const stop = async (): Promise<void> => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await createTemplate(server.url, templateName);
  } catch (error) {
    await stop();
    throw error;
  }
  // As files: through the write-ahead log, as by default, it takes twice as long.
  return { url: server.url, templateName, strategy: 'STRATEGY FILE_COPY', stop };
}

async function createTemplate(serverUrl: string, name: string): Promise<void> {
  await execute(serverUrl, `CREATE DATABASE ${name}`);
  const url = new URL(serverUrl);
  url.pathname = name;
  await migrate(url.href);
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** A run that was killed could not clean up: its folder names the process, so the next run does it. */
async function removeLeftovers(): Promise<void> {
  for (const entry of await readdir(tmpdir())) {
    if (!entry.startsWith(folderPrefix)) continue;
    const pid = Number(entry.slice(folderPrefix.length).split('-')[0]);
    if ((await processIdentity(pid)) !== null) continue;
    const folder = join(tmpdir(), entry);
    await stopLeftoverServer(join(folder, 'data', 'postgres')).catch(() => undefined);
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}
