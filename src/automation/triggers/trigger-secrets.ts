import type { EntityManager } from 'typeorm';
import type { Sql } from '../../database/sql.ts';
import type { SecretCipher } from '../../encryption/secret-cipher.ts';
import { newSecret } from './signature.ts';

/** How long the secret before a new one is still signed with, in hours, unless somebody wants it otherwise. */
export const defaultOverlapHours = 24;
export const maxOverlapHours = 168;

/** As they are stored; null for a trigger that signs nothing. */
export interface SealedSecrets {
  secret: string | null;
  previousSecret: string | null;
  previousUntil: Date | null;
}

/** The only place that opens and writes what triggers sign with. A secret leaves it towards a person once: when it is made. */
export class TriggerSecrets {
  readonly #cipher: SecretCipher;

  constructor(cipher: SecretCipher) {
    this.#cipher = cipher;
  }

  /** @returns the new secret */
  async create(sql: EntityManager, trigger: { id: string; connectionId: number }): Promise<string> {
    const secret = newSecret();
    await sql.query('INSERT INTO trigger_secrets (trigger_id, connection_id, secret) VALUES ($1, $2, $3)', [
      trigger.id,
      trigger.connectionId,
      this.#cipher.seal(secret, place(trigger.id, 'secret')),
    ]);
    return secret;
  }

  /**
   * Puts a new secret in the place of the present one, which stays valid until a moment. One that was still valid from an
   * earlier rotation ends.
   */
  async rotate(sql: EntityManager, triggerId: string, previousUntil: Date): Promise<string> {
    const [row] = await sql.query<{ secret: string }[]>(
      'SELECT secret FROM trigger_secrets WHERE trigger_id = $1 FOR UPDATE',
      [triggerId],
    );
    if (!row) throw new Error('A trigger with an endpoint has no secret.');
    const secret = newSecret();
    // An envelope is bound to its column.
    const previous = this.#cipher.open(row.secret, place(triggerId, 'secret'));
    await sql.query(
      'UPDATE trigger_secrets SET secret = $2, previous_secret = $3, previous_until = $4 WHERE trigger_id = $1',
      [
        triggerId,
        this.#cipher.seal(secret, place(triggerId, 'secret')),
        this.#cipher.seal(previous, place(triggerId, 'previous_secret')),
        previousUntil,
      ],
    );
    return secret;
  }

  /** What to sign with now, the newest first. @throws AppError SECRET_UNREADABLE */
  async valid(sql: Sql, triggerId: string, now: Date): Promise<string[]> {
    const [row] = await sql.query<SealedSecrets[]>(
      `SELECT secret, previous_secret AS "previousSecret", previous_until AS "previousUntil" FROM trigger_secrets WHERE trigger_id = $1`,
      [triggerId],
    );
    return row ? this.open(triggerId, row, now) : [];
  }

  /** The same of what was read along with something else. @throws AppError SECRET_UNREADABLE */
  open(triggerId: string, { secret, previousSecret, previousUntil }: SealedSecrets, now: Date): string[] {
    if (secret === null) return [];
    const secrets = [this.#cipher.open(secret, place(triggerId, 'secret'))];
    if (previousSecret !== null && previousUntil !== null && previousUntil > now)
      secrets.push(this.#cipher.open(previousSecret, place(triggerId, 'previous_secret')));
    return secrets;
  }

  /** Erases secrets that are no longer signed with. */
  async forgetEnded(sql: Sql, now: Date): Promise<void> {
    await sql.query(
      'UPDATE trigger_secrets SET previous_secret = NULL, previous_until = NULL WHERE previous_until <= $1',
      [now],
    );
  }
}

function place(row: string, column: string) {
  return { table: 'trigger_secrets', column, row };
}
