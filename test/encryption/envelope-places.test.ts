import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { envelopePlaces, keyIdOf } from '../../src/encryption/envelope-places.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

/** Columns that may hold a secret, by their names; hashes can't be turned back. */
const secretColumns = (schema: string) =>
  database.query(
    `SELECT table_name || '.' || column_name AS name FROM information_schema.columns
     WHERE table_schema = $1 AND data_type IN ('text', 'character varying', 'bytea', 'json', 'jsonb')
       AND column_name ~ 'envelope|secret|token|verifier|password|credential|private' AND column_name !~ '_hash$'
     ORDER BY 1`,
    [schema],
  );

test('every column with secrets is in the list of places whose keys rotate', async () => {
  const places = envelopePlaces.map(({ table, column }) => ({ name: `${table}.${column}` }));
  const found = await secretColumns('public');
  expect(found).toEqual(places.sort((a, b) => a.name.localeCompare(b.name)));
});

test('a column with secrets that is not in the list is noticed', async () => {
  await database.query('CREATE SCHEMA planted; CREATE TABLE planted.mail (id integer, smtp_password text)');
  expect(await secretColumns('planted')).toEqual([{ name: 'mail.smtp_password' }]);
});

test('each place has the key that is said, and a connection by which people know it', async () => {
  for (const { table, column, key } of envelopePlaces) {
    await database.query(`SELECT ${column}, connection_id FROM ${table}`);
    const keys = await database.query(
      `SELECT a.attname AS column, format_type(a.atttypid, NULL) AS type
       FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
       WHERE i.indisprimary AND i.indrelid = $1::regclass`,
      [table],
    );
    expect(keys).toEqual([key]);
  }
});

test.each([
  ['v1.2026a.AAAA.BBBB', '2026a'],
  ['v1.a_b-C.AAAA.BBBB', 'a_b-C'],
  ['v2.2026a.AAAA.BBBB', null],
  ['v1.2026a', null],
  ['open secret', null],
])('PostgreSQL reads the key of %j as %j', async (envelope, keyId) => {
  expect(await database.query(`SELECT ${keyIdOf('$1::text')} AS "keyId"`, [envelope])).toEqual([{ keyId }]);
});
