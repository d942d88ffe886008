import { createHash, randomBytes } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { AppError } from '../errors.ts';
import { Caller, type Role } from './caller.ts';

/** 256 random bits: nothing to guess, so a plain SHA-256 at rest is enough and a lookup is one indexed read. */
const keyBytes = 32;

/** Longest bearer text that is hashed at all; ours have some 50 characters. */
const maxKeyLength = 200;

/** How long a key made for the explorer page lives. */
const explorerKeyHours = 12;

/** How long the one-use code in a printed GraphiQL link can be exchanged. */
const explorerCodeMinutes = 10;

interface ApiKeyRow {
  id: number;
  name: string;
  role: Role;
  connection_ids: number[] | null;
  base_ids: string[] | null;
}

/** API keys: made once, shown once, stored as a hash. */
export class ApiKeys {
  readonly #database: DataSource;

  constructor(database: DataSource) {
    this.#database = database;
  }

  /**
   * Makes sure that the configured first admin key opens the door, and only that one of its kind: a key that was
   * configured before and is no longer is revoked.
   */
  async ensureAdminKey(key: string): Promise<void> {
    await this.#database.transaction(async (manager) => {
      await manager.query(`SELECT pg_advisory_xact_lock(hashtext('api_keys:configured'))`);
      await manager.query(
        `UPDATE api_keys SET revoked_at = now() WHERE name = $1 AND key_hash <> $2 AND revoked_at IS NULL`,
        [configuredKeyName, hashOf(key)],
      );
      await manager.query(
        `INSERT INTO api_keys (name, role, key_hash) VALUES ($1, 'admin', $2) ON CONFLICT (key_hash) DO UPDATE SET revoked_at = NULL`,
        [configuredKeyName, hashOf(key)],
      );
    });
  }

  /**
   * @param options.connectionIds The only connections that the key reaches, and `baseIds` the only bases; all by default.
   * @returns the key, which can't be read again.
   */
  async create(
    name: string,
    role: Role,
    options: { expiresInHours?: number; connectionIds?: number[]; baseIds?: string[] } = {},
  ): Promise<string> {
    const key = `ock_${randomBytes(keyBytes).toString('base64url')}`;
    await this.#database.query(
      `INSERT INTO api_keys (name, role, key_hash, expires_at, connection_ids, base_ids)
       VALUES ($1, $2, $3, now() + $4 * interval '1 hour', $5, $6)`,
      [
        name,
        role,
        hashOf(key),
        options.expiresInHours ?? null,
        options.connectionIds ?? null,
        options.baseIds ?? null,
      ],
    );
    return key;
  }

  async revoke(key: string): Promise<void> {
    await this.#database.query('UPDATE api_keys SET revoked_at = now() WHERE key_hash = $1', [hashOf(key)]);
  }

  /** @throws AppError UNAUTHENTICATED; the message is the same whether a key is unknown, expired or revoked. */
  async authenticate(key: string | null): Promise<Caller> {
    if (!key) throw unauthenticated('This server needs an API key.');
    if (key.length > maxKeyLength) throw unauthenticated('The API key is not valid.');
    const rows: ApiKeyRow[] = await this.#database.query(
      `SELECT id, name, role, connection_ids, base_ids FROM api_keys
       WHERE key_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`,
      [hashOf(key)],
    );
    const [row] = rows;
    if (!row) throw unauthenticated('The API key is not valid.');
    return callerOf(row);
  }

  /** The caller behind an id such as `key:7`, or null when that key is gone: used where a key acted earlier. */
  async find(callerId: string): Promise<Caller | null> {
    const id = Number(/^key:(\d{1,9})$/.exec(callerId)?.[1] ?? NaN);
    if (Number.isNaN(id)) return null;
    const rows: ApiKeyRow[] = await this.#database.query(
      `SELECT id, name, role, connection_ids, base_ids FROM api_keys
       WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`,
      [id],
    );
    return rows[0] ? callerOf(rows[0]) : null;
  }

  /** A code for the fragment of a GraphiQL link: works once, for ten minutes. */
  async issueExplorerCode(): Promise<string> {
    const code = randomBytes(keyBytes).toString('base64url');
    await this.#database.query(`DELETE FROM explorer_codes WHERE expires_at < now()`);
    await this.#database.query(
      `INSERT INTO explorer_codes (code_hash, expires_at) VALUES ($1, now() + $2 * interval '1 minute')`,
      [hashOf(code), explorerCodeMinutes],
    );
    return code;
  }

  /** Exchanges a code for a key of its own, which ends by itself. */
  async redeemExplorerCode(code: string): Promise<string> {
    const used: [unknown[], number] = await this.#database.query(
      'DELETE FROM explorer_codes WHERE code_hash = $1 AND expires_at > now() RETURNING 1',
      [hashOf(code.slice(0, maxKeyLength))],
    );
    if (used[1] === 0)
      throw unauthenticated(
        'This link was used already or is older than ten minutes. Start the server again for a new one, or enter an API key.',
      );
    return this.create('GraphiQL', 'admin', { expiresInHours: explorerKeyHours });
  }
}

const configuredKeyName = 'configured admin key';

function callerOf(row: ApiKeyRow): Caller {
  return new Caller({
    id: `key:${row.id}`,
    name: row.name,
    role: row.role,
    connectionIds: row.connection_ids,
    baseIds: row.base_ids,
  });
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

function unauthenticated(message: string): AppError {
  return new AppError(
    'UNAUTHENTICATED',
    `${message} Send it as "Authorization: Bearer …", or as "authorization" in the connection_init payload of a WebSocket.`,
  );
}
