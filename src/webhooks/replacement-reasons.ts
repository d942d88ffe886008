import type { DataSource } from 'typeorm';
import type { ConnectionEntity } from '../connections/connection.entity.ts';
import type { SecretCipher } from '../encryption/secret-cipher.ts';
import { isReadable } from './mac-secrets.ts';
import { notificationUrl, type Addresses } from './notification-url.ts';
import { dataTypesFor } from './specification.ts';
import type { ReplacementReason, Webhook } from './webhook.ts';

/**
 * How old a webhook is before it is replaced for where it pings, or what it tells. While a new address is rolled out,
 * instances disagree about it, and each would replace what the other has made.
 */
const settledAfterSeconds = 600;

/**
 * Instances whose configurations differ for good would go on like that for ever. So each replacement of a webhook that was
 * not old doubles the age at which the next one is replaced, whatever the reason, up to this.
 */
const maxSettledAfterSeconds = 86_400;

/** Whether a webhook that lives should be replaced all the same, and why. */
export class ReplacementReasons {
  readonly #deps: { database: DataSource; cipher: SecretCipher; addresses: Addresses };

  constructor(deps: { database: DataSource; cipher: SecretCipher; addresses: Addresses }) {
    this.#deps = deps;
  }

  /** @param connection through which it is read */
  async of(webhook: Webhook, connection: ConnectionEntity): Promise<ReplacementReason | null> {
    const { database, cipher, addresses } = this.#deps;
    const isFirst = webhook.quickReplacements === 0;
    const settledAfter = Math.min(
      maxSettledAfterSeconds,
      settledAfterSeconds * 2 ** webhook.quickReplacements,
    );
    const [row] = await database.query<{ envelope: string | null; isSettled: boolean }[]>(
      `SELECT mac_secret_envelope AS envelope, created_at < clock_timestamp() - make_interval(secs => $2) AS "isSettled"
       FROM webhooks WHERE id = $1`,
      [webhook.id, settledAfter],
    );
    if (!row || !(row.isSettled || isFirst)) return null;
    // What is only pulled needs no secret.
    if (webhook.notificationUrl !== null && !isReadable(cipher, webhook.id, row.envelope))
      return 'secret_unreadable';
    if (!row.isSettled) return null;
    if (notificationUrl(webhook.id, addresses) !== webhook.notificationUrl) return 'url_outdated';
    const possible = dataTypesFor(connection.grantedScopes);
    return possible.some((type) => !webhook.dataTypes.includes(type)) ? 'narrow' : null;
  }
}
