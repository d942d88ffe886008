import type { DataSource, EntityManager } from 'typeorm';
import type { SecretCipher, SecretPlace } from '../encryption/secret-cipher.ts';

export interface TokenPair {
  accessToken: string;
  refreshToken: string | null;
}

type Queryable = Pick<DataSource | EntityManager, 'query'>;
type Column = 'client_secret' | 'access_token' | 'refresh_token';

/** The one door to `connection_secrets`. Nothing else selects from that table. */
export class ConnectionSecrets {
  readonly #cipher: SecretCipher;

  constructor(cipher: SecretCipher) {
    this.#cipher = cipher;
  }

  async storeClientSecret(database: Queryable, connectionId: number, clientSecret: string): Promise<void> {
    await database.query(
      `INSERT INTO connection_secrets (connection_id, client_secret) VALUES ($1, $2)
       ON CONFLICT (connection_id) DO UPDATE SET client_secret = excluded.client_secret`,
      [connectionId, this.#seal(clientSecret, 'client_secret', connectionId)],
    );
  }

  async clientSecret(database: Queryable, connectionId: number): Promise<string> {
    const rows: { client_secret: string }[] = await database.query(
      'SELECT client_secret FROM connection_secrets WHERE connection_id = $1',
      [connectionId],
    );
    const [row] = rows;
    if (!row) throw new Error(`Connection ${connectionId} has no stored client secret.`);
    return this.#cipher.open(row.client_secret, place('client_secret', connectionId));
  }

  /** An answer without a refresh token leaves the stored one in force (RFC 6749, section 6). */
  async storeTokens(database: Queryable, connectionId: number, tokens: TokenPair): Promise<void> {
    await database.query(
      `UPDATE connection_secrets SET access_token = $2, refresh_token = coalesce($3, refresh_token) WHERE connection_id = $1`,
      [
        connectionId,
        this.#seal(tokens.accessToken, 'access_token', connectionId),
        tokens.refreshToken === null ? null : this.#seal(tokens.refreshToken, 'refresh_token', connectionId),
      ],
    );
  }

  async tokens(database: Queryable, connectionId: number): Promise<TokenPair | null> {
    const rows: { access_token: string | null; refresh_token: string | null }[] = await database.query(
      'SELECT access_token, refresh_token FROM connection_secrets WHERE connection_id = $1',
      [connectionId],
    );
    const [row] = rows;
    if (!row?.access_token) return null;
    return {
      accessToken: this.openAccessToken(row.access_token, connectionId),
      refreshToken:
        row.refresh_token === null
          ? null
          : this.#cipher.open(row.refresh_token, place('refresh_token', connectionId)),
    };
  }

  openAccessToken(envelope: string, connectionId: number): string {
    return this.#cipher.open(envelope, place('access_token', connectionId));
  }

  async forgetTokens(database: Queryable, connectionId: number): Promise<void> {
    await database.query(
      'UPDATE connection_secrets SET access_token = NULL, refresh_token = NULL WHERE connection_id = $1',
      [connectionId],
    );
  }

  #seal(secret: string, column: Column, connectionId: number): string {
    return this.#cipher.seal(secret, place(column, connectionId));
  }
}

function place(column: Column, connectionId: number): SecretPlace {
  return { table: 'connection_secrets', column, row: String(connectionId) };
}
