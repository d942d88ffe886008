import type { DataSource, EntityManager } from 'typeorm';
import { theServer, type OtherAction, type RecordAudit } from '../audit/audit-event.ts';
import { AppError } from '../errors.ts';
import { apiKeyColumns, callerOf, isLiving, keyIdOf, type ApiKey } from './api-key.ts';
import { connectionNotFound, type Caller, type Role } from './caller.ts';
import { hashOf, newSecret } from './key-secret.ts';

/** Keys that open the door at a time; it also bounds the list, which has no pages. */
const maxKeys = 1_000;

/** Keys that have ended are listed for this long, and no more than this many of them. */
const endedKeptDays = 90;
const maxEndedKeys = 1_000;

export interface NewApiKey {
  name: string;
  role: Role;
  /** The only connections, and the only bases, that the key reaches; null: all. */
  connectionIds: number[] | null;
  baseIds: string[] | null;
  /** Null: it does not end by itself. */
  expiresAt: Date | null;
}

/** API keys: made once, shown once, stored as a hash. */
export class ApiKeys {
  readonly #database: DataSource;
  readonly #audit: RecordAudit;
  readonly #onRevoked: () => void;

  /** @param audit Told of what happens to keys by itself; what somebody does to them is audited where it is asked for. */
  constructor(database: DataSource, audit: RecordAudit, onRevoked: () => void = () => undefined) {
    this.#database = database;
    this.#audit = audit;
    this.#onRevoked = onRevoked;
  }

  /**
   * Makes sure that the configured first admin key opens the door, and only that one of its kind: a key that was
   * configured before and is no longer is revoked.
   */
  async ensureAdminKey(key: string): Promise<void> {
    const { ended, begun } = await this.#database.transaction(async (manager) => {
      await manager.query(`SELECT pg_advisory_xact_lock(hashtext('api_keys:configured'))`);
      const ended = await endConfigured(manager, hashOf(key));
      const inForce: unknown[] = await manager.query(
        `SELECT FROM api_keys WHERE key_hash = $1 AND configured AND ${isLiving}`,
        [hashOf(key)],
      );
      const begun: { id: number }[] = await manager.query(
        `INSERT INTO api_keys (name, role, key_hash, configured) VALUES ($1, 'admin', $2, true)
         ON CONFLICT (key_hash) DO UPDATE
         SET name = EXCLUDED.name, role = 'admin', configured = true, connection_ids = NULL, base_ids = NULL,
             expires_at = NULL, revoked_at = NULL
         RETURNING id`,
        [configuredKeyName, hashOf(key)],
      );
      return { ended, begun: inForce.length > 0 ? [] : begun };
    });
    this.#onRevoked();
    await this.#tell('revokeApiKey', ended);
    await this.#tell('setAdminKey', begun);
  }

  /** Where no admin key is configured any more, the one that was does not open the door any longer. */
  async endAdminKey(): Promise<void> {
    const ended = await endConfigured(this.#database.manager, null);
    this.#onRevoked();
    await this.#tell('revokeApiKey', ended);
  }

  async #tell(action: OtherAction, keys: readonly { id: number }[]): Promise<void> {
    for (const { id } of keys)
      await this.#audit({ actor: theServer, action, outcome: 'ok', target: `key:${id}` });
  }

  /**
   * Makes a key. The answer is the only one that ever holds it.
   * @throws AppError CONNECTION_NOT_FOUND, TOO_MANY
   */
  async issue(wanted: NewApiKey): Promise<{ key: string; apiKey: ApiKey }> {
    const key = `ock_${newSecret()}`;
    let forgotten = 0;
    const apiKey = await this.#database.transaction(async (manager) => {
      // One at a time, so that the count is still true when the key is added.
      await manager.query(`SELECT pg_advisory_xact_lock(hashtext('api_keys:issue'))`);
      forgotten = await forgetLongEnded(manager);
      await requireRoom(manager);
      await requireConnections(manager, wanted.connectionIds ?? []);
      const rows: ApiKey[] = await manager.query(
        `INSERT INTO api_keys (name, role, key_hash, connection_ids, base_ids, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING ${apiKeyColumns}`,
        [wanted.name, wanted.role, hashOf(key), wanted.connectionIds, wanted.baseIds, wanted.expiresAt],
      );
      return rows[0] as ApiKey;
    });
    if (forgotten > 0) {
      await this.#audit({
        actor: theServer,
        action: 'forgetApiKeys',
        outcome: 'ok',
        details: { keys: forgotten },
      });
    }
    return { key, apiKey };
  }

  /**
   * The same in short, where only the key matters.
   * @returns the key, which can't be read again.
   */
  async create(
    name: string,
    role: Role,
    options: { expiresInHours?: number; connectionIds?: number[]; baseIds?: string[] } = {},
  ): Promise<string> {
    const { expiresInHours, connectionIds = null, baseIds = null } = options;
    const expiresAt =
      expiresInHours === undefined ? null : new Date(Date.now() + expiresInHours * millisecondsPerHour);
    return (await this.issue({ name, role, connectionIds, baseIds, expiresAt })).key;
  }

  /** All keys, oldest first; those that have ended are among them for a while. */
  async list(): Promise<ApiKey[]> {
    return this.#database.query<ApiKey[]>(`SELECT ${apiKeyColumns} FROM api_keys ORDER BY id LIMIT $1`, [
      maxKeys + maxEndedKeys,
    ]);
  }

  /** @throws AppError API_KEY_NOT_FOUND */
  async get(id: number): Promise<ApiKey> {
    const [found] = await this.#database.query<ApiKey[]>(
      `SELECT ${apiKeyColumns} FROM api_keys WHERE id = $1`,
      [id],
    );
    if (!found) throw apiKeyNotFound(id);
    return found;
  }

  /**
   * Ends a key at once; one that was revoked before stays as it is. What runs under it ends within seconds, see KeyWatch.
   * @throws AppError API_KEY_NOT_FOUND, API_KEY_CONFIGURED
   */
  async revoke(id: number): Promise<ApiKey> {
    await this.#database.query(
      'UPDATE api_keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL AND NOT configured',
      [id],
    );
    this.#onRevoked();
    const key = await this.get(id);
    if (key.configured) throw isConfigured(id);
    return key;
  }

  /** The caller behind an id such as `key:7`, or null when that key is gone: used where a key acted earlier. */
  async find(callerId: string): Promise<Caller | null> {
    const id = keyIdOf(callerId);
    if (id === null) return null;
    const [found] = await this.#database.query<ApiKey[]>(
      `SELECT ${apiKeyColumns} FROM api_keys WHERE id = $1 AND ${isLiving}`,
      [id],
    );
    return found ? callerOf(found) : null;
  }
}

const configuredKeyName = 'configured admin key';
const millisecondsPerHour = 3_600_000;

/** @returns the keys that were configured until now. */
async function endConfigured(manager: EntityManager, exceptHash: Buffer | null): Promise<{ id: number }[]> {
  const [ended]: [{ id: number }[], number] = await manager.query(
    `UPDATE api_keys SET configured = false, revoked_at = coalesce(revoked_at, now())
     WHERE configured AND key_hash IS DISTINCT FROM $1::bytea RETURNING id`,
    [exceptHash],
  );
  return ended;
}

/** @returns how many. */
async function forgetLongEnded(manager: EntityManager): Promise<number> {
  const [, count]: [unknown[], number] = await manager.query(
    `DELETE FROM api_keys WHERE id IN (
       SELECT id FROM (
         SELECT id, LEAST(revoked_at, expires_at) AS ended_at,
                row_number() OVER (ORDER BY LEAST(revoked_at, expires_at) DESC) AS place
         FROM api_keys WHERE NOT ${isLiving}
       ) AS ended
       WHERE place > $1 OR ended_at < now() - $2 * interval '1 day')`,
    [maxEndedKeys, endedKeptDays],
  );
  return count;
}

async function requireRoom(manager: EntityManager): Promise<void> {
  const [counted] = await manager.query<{ living: number }[]>(
    `SELECT count(*)::integer AS living FROM api_keys WHERE ${isLiving}`,
  );
  if ((counted?.living ?? 0) < maxKeys) return;
  throw new AppError(
    'TOO_MANY',
    `This server holds ${maxKeys} API keys already, which is its limit. Revoke one that is no longer used.`,
    { details: { max: maxKeys } },
  );
}

async function requireConnections(manager: EntityManager, ids: number[]): Promise<void> {
  if (ids.length === 0) return;
  const [missing] = await manager.query<{ id: number }[]>(
    `SELECT id FROM unnest($1::integer[]) AS asked (id) WHERE NOT EXISTS (SELECT FROM connections WHERE connections.id = asked.id) LIMIT 1`,
    [ids],
  );
  if (missing) throw connectionNotFound(missing.id);
}

export function apiKeyNotFound(id: number): AppError {
  return new AppError(
    'API_KEY_NOT_FOUND',
    `There is no API key with the id ${id}. The query "apiKeys" lists the ones you may see.`,
    { details: { id } },
  );
}

function isConfigured(id: number): AppError {
  return new AppError(
    'API_KEY_CONFIGURED',
    `Key ${id} is the configured admin key, which the server would bring back at its next start. To change it, set ADMIN_API_KEY to another key (or, where it was generated, delete the file keys/admin-api-key in the data folder) and restart: the old key ends then.`,
    { details: { id } },
  );
}
