import type { DataSource } from 'typeorm';
import type { CalendlyApi } from '../calendly/api.ts';
import type { SecretCipher } from '../encryption/secret-cipher.ts';
import type { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { isRefused } from './creation-errors.ts';
import type { Drains } from './drain.ts';
import { sealedMacSecret } from './mac-secrets.ts';
import type { Addresses } from './notification-url.ts';
import { takeOver } from './overlap.ts';
import type { Reached } from './owners.ts';
import { createUpstream } from './upstream-creation.ts';
import { findSuccessor, findWebhook, type ReplacementReason, type Webhook } from './webhook.ts';
import type { WebhookClaims } from './webhook-claims.ts';

/** Pause after the upstream refused to create a successor, such as when somebody else has the second place. */
const retrySeconds = 600;

export interface ReplacementDeps {
  database: DataSource;
  cipher: SecretCipher;
  claims: WebhookClaims;
  drains: Drains;
  addresses: Addresses;
  logger: Logger;
}

/**
 * Replaces a webhook that lives but is no longer of use as it is, without a gap: the upstream allows two per OAuth
 * client and base, and the second place is kept for this. The steps, each of which is stored before the next begins:
 *
 * 1. prepare: a row with a route id of its own, in state `preparing`.
 * 2. the create call; then the sealed secret is stored and the successor is `ready`. From here on both record, and the
 *    old one is still the one that is drained.
 * 3. the old one is drained to its end, by a drain that began after the successor was ready.
 * 4. take over: in one transaction the old one becomes `ending`, which no drain can append under, and the successor
 *    `active`, with what it must not repeat (see overlap.ts).
 * 5. the old one is deleted upstream, and `deleted`.
 *
 * Whoever looks next goes on from the step that was stored last. A create call whose answer was lost leaves a row that
 * grows stale and a webhook that nobody has the secret of, as in creation. When the second place is taken, the old one
 * stays and is pulled on the timer.
 */
export class PlannedReplacement {
  readonly #deps: ReplacementDeps;

  constructor(deps: ReplacementDeps) {
    this.#deps = deps;
  }

  /** Goes as far as it gets: the next check of the old webhook goes on from there. */
  async advance(old: Webhook, reason: ReplacementReason, { connection, api }: Reached): Promise<void> {
    const { database, claims, drains } = this.#deps;
    let successor = await findSuccessor(database, old.feedId);
    if (successor?.state !== 'ready') {
      if (!(await this.#isDue(old.id))) return;
      const claim = await claims.successor(old, connection);
      if (!claim) return;
      try {
        const created = await createUpstream(api, connection, old.baseId, claim, this.#deps);
        await this.#ready(claim.id, created, old, api);
      } catch (error) {
        if (!isRefused(error)) throw error;
        await this.#postpone(old, error);
        return;
      }
      successor = await findSuccessor(database, old.feedId);
      if (successor?.state !== 'ready') return;
    }
    await drains.drain(old.id);
    await this.#takeOver(old.id, successor, reason, api);
  }

  async #isDue(oldId: string): Promise<boolean> {
    const rows = await this.#deps.database.query<unknown[]>(
      'SELECT 1 FROM webhooks WHERE id = $1 AND (replacement_not_before IS NULL OR replacement_not_before < clock_timestamp())',
      [oldId],
    );
    return rows.length > 0;
  }

  async #ready(
    successorId: string,
    created: { id: string; macSecretBase64: string; expirationTime?: string | null },
    old: Webhook,
    api: CalendlyApi,
  ): Promise<void> {
    const { database, cipher, logger } = this.#deps;
    const [, ready] = await database.query<[unknown[], number]>(
      `UPDATE webhooks SET state = 'ready', upstream_id = $2, mac_secret_envelope = $3, expires_at = $4,
              ready_at = clock_timestamp(), refreshed_at = clock_timestamp(), checked_at = clock_timestamp()
       WHERE id = $1 AND state = 'preparing' AND EXISTS (SELECT 1 FROM webhooks WHERE id = $5 AND state = 'active')`,
      [
        successorId,
        created.id,
        sealedMacSecret(cipher, successorId, created.macSecretBase64),
        created.expirationTime ?? null,
        old.id,
      ],
    );
    if (ready === 1) return;
    // The old one went meanwhile, and took its succession with it.
    logger.info({ webhook: old.id, baseId: old.baseId }, 'a successor came too late');
    await database.query(
      `UPDATE webhooks SET state = 'ending', upstream_id = $2, problem = 'It came too late.' WHERE id = $1 AND state IN ('preparing', 'failed')`,
      [successorId, created.id],
    );
    await api.deleteWebhook(old.baseId, created.id);
    await database.query(`UPDATE webhooks SET state = 'deleted' WHERE id = $1 AND state = 'ending'`, [
      successorId,
    ]);
  }

  async #postpone(old: Webhook, error: AppError): Promise<void> {
    const { database, logger } = this.#deps;
    await database.query(
      `UPDATE webhooks SET replacement_problem = $2, replacement_not_before = clock_timestamp() + make_interval(secs => $3) WHERE id = $1`,
      [old.id, error.message, retrySeconds],
    );
    logger.warn(
      { err: error, webhook: old.id, baseId: old.baseId },
      'a webhook could not be replaced; it is pulled until that works',
    );
  }

  async #takeOver(
    oldId: string,
    successor: Webhook,
    reason: ReplacementReason,
    api: CalendlyApi,
  ): Promise<void> {
    const { database, drains, logger } = this.#deps;
    const old = await findWebhook(database, oldId);
    const { readyAt } = successor;
    if (old?.state !== 'active' || readyAt === null) return;
    // A drain may have failed, or been under way elsewhere since before the successor recorded.
    if (old.lastDrainedAt === null || old.lastDrainedAt < readyAt) return;
    // Asked after that drain: what the successor has beyond this number, the old one has not told.
    const held = (await api.listWebhooks(old.baseId)).find(({ id }) => id === successor.upstreamId);
    if (!held?.isHookEnabled) {
      await database.query(`UPDATE webhooks SET state = 'ending' WHERE id = $1 AND state = 'ready'`, [
        successor.id,
      ]);
      return;
    }
    const taken = await database
      .transaction(async (sql) => {
        const [, ended] = await sql.query<[unknown[], number]>(
          `UPDATE webhooks SET state = 'ending', ended_at = clock_timestamp(), check_lease_until = NULL,
                  drain_holder = NULL, drain_lease_until = NULL
           WHERE id = $1 AND state = 'active' AND next_payload = $2`,
          [old.id, old.nextPayload],
        );
        if (ended === 0) return false;
        if (!(await takeOver(sql, successor.id, held.cursorForNextPayload, old.id))) throw new Superseded();
        await sql.query('UPDATE change_feeds SET generation = $2 WHERE id = $1', [
          old.feedId,
          successor.generation,
        ]);
        return true;
      })
      .catch((error: unknown) => {
        if (error instanceof Superseded) return false;
        throw error;
      });
    if (!taken) return;
    logger.info(
      { replaced: old.id, webhook: successor.id, baseId: old.baseId, reason },
      'webhook replaced without a gap',
    );
    drains.kick(successor.id);
  }
}

/** Another instance was faster, or the successor was given up. */
class Superseded extends Error {}
