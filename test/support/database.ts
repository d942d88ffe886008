import { randomBytes } from 'node:crypto';
import pg from 'pg';

export interface TestDatabase {
  url: string;
  /** Rows of one statement, with $1, $2… for the parameters. */
  query(text: string, params?: unknown[]): Promise<Record<string, unknown>[]>;
  /** Drops the database, whoever is still connected to it. */
  close(): Promise<void>;
}

/** A migrated, empty database of its own, cloned from the template of this test run. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const serverUrl = required('TEST_SERVER_URL');
  const template = required('TEST_TEMPLATE_DATABASE');
  const name = `test_${randomBytes(8).toString('hex')}`;
  await onServer(
    serverUrl,
    `CREATE DATABASE ${name} TEMPLATE ${template} ${process.env['TEST_CLONING_STRATEGY']}`,
  );

  const url = new URL(serverUrl);
  url.pathname = name;
  const pool = new pg.Pool({ connectionString: url.href, max: 4 });
  // Closing drops the database under connections that the code under test may have left open.
  pool.on('error', () => undefined);
  return {
    url: url.href,
    async query(text, params) {
      const answer = await pool.query<Record<string, unknown>>(text, params);
      return answer.rows;
    },
    async close() {
      await pool.end();
      await onServer(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
  };
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

function required(variable: string): string {
  const value = process.env[variable];
  if (!value)
    throw new Error(`${variable} is set by test/support/global-setup.ts: run the tests with npm test`);
  return value;
}
