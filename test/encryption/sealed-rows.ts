import { type SecretCipher } from '../../src/encryption/secret-cipher.ts';
import { envelopePlaces } from '../../src/encryption/envelope-places.ts';
import type { TestDatabase } from '../support/database.ts';

/** Adds connections that nobody uses, with three secrets each, so that a rotation takes its time. */
export async function addSealedConnections(
  database: TestDatabase,
  cipher: SecretCipher,
  count: number,
): Promise<void> {
  const rows = await database.query(
    `INSERT INTO connections (type, name, client_id, state, requested_scopes)
     SELECT 'calendly', 'Idle ' || n, 'idle', 'configured', '{}' FROM generate_series(1, $1) AS n RETURNING id`,
    [count],
  );
  const ids = rows.map(({ id }) => Number(id));
  const sealed = (column: string) =>
    ids.map((id) =>
      cipher.seal(`${column} of ${id}`, { table: 'connection_secrets', column, row: String(id) }),
    );
  await database.query(
    `INSERT INTO connection_secrets (connection_id, client_secret, access_token, refresh_token)
     SELECT * FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[])`,
    [ids, sealed('client_secret'), sealed('access_token'), sealed('refresh_token')],
  );
}

/** Every envelope of the database with where it stands. */
export async function allEnvelopes(database: TestDatabase) {
  const found: { table: string; column: string; row: string; envelope: string }[] = [];
  for (const { table, column, key } of envelopePlaces) {
    const rows = await database.query(
      `SELECT ${key.column}::text AS row, ${column} AS envelope FROM ${table} WHERE ${column} IS NOT NULL ORDER BY 1`,
    );
    for (const { row, envelope } of rows)
      found.push({ table, column, row: String(row), envelope: String(envelope) });
  }
  return found;
}

/** How many envelopes carry a key's id. */
export async function countUnder(database: TestDatabase, keyId: string): Promise<number> {
  const envelopes = await allEnvelopes(database);
  return envelopes.filter(({ envelope }) => envelope.startsWith(`v1.${keyId}.`)).length;
}
