import type { DataSource } from 'typeorm';
import { theServer, type RecordAudit } from '../audit/audit-event.ts';
import type { ApiKeys } from './api-keys.ts';
import { unauthenticated } from './authentication.ts';
import { hashOf, maxKeyLength, newSecret } from './key-secret.ts';

/** How long a key made for the explorer page lives. */
const explorerKeyHours = 12;
const millisecondsPerHour = 3_600_000;

/** How long the one-use code in a printed GraphiQL link can be exchanged. */
const explorerCodeMinutes = 10;

/** The codes in printed GraphiQL links. A link may end up in a terminal's history, so it holds no key. */
export class ExplorerCodes {
  readonly #database: DataSource;
  readonly #keys: ApiKeys;
  readonly #audit: RecordAudit;

  constructor(database: DataSource, keys: ApiKeys, audit: RecordAudit) {
    this.#database = database;
    this.#keys = keys;
    this.#audit = audit;
  }

  /** A code for the fragment of a GraphiQL link: works once, for ten minutes. */
  async issue(): Promise<string> {
    const code = newSecret();
    await this.#database.query(`DELETE FROM explorer_codes WHERE expires_at < now()`);
    await this.#database.query(
      `INSERT INTO explorer_codes (code_hash, expires_at) VALUES ($1, now() + $2 * interval '1 minute')`,
      [hashOf(code), explorerCodeMinutes],
    );
    return code;
  }

  /**
   * Exchanges a code for a key of its own, which ends by itself.
   * @throws AppError UNAUTHENTICATED
   */
  async redeem(code: string): Promise<string> {
    const used: [unknown[], number] = await this.#database.query(
      'DELETE FROM explorer_codes WHERE code_hash = $1 AND expires_at > now() RETURNING 1',
      [hashOf(code.slice(0, maxKeyLength))],
    );
    if (used[1] === 0)
      throw unauthenticated(
        'This link was used already or is older than ten minutes. Start the server again for a new one, or enter an API key.',
      );
    const { key, apiKey } = await this.#keys.issue({
      name: 'GraphiQL',
      role: 'admin',
      connectionIds: null,
      baseIds: null,
      expiresAt: new Date(Date.now() + explorerKeyHours * millisecondsPerHour),
    });
    await this.#audit({
      actor: theServer,
      action: 'createApiKey',
      outcome: 'ok',
      target: `key:${apiKey.id}`,
      details: { role: 'ADMIN', explorer: true },
    });
    return key;
  }
}
