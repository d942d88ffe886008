import type { DataSource } from 'typeorm';
import type { CalendlyApi } from '../calendly/api.ts';
import type { SecretCipher } from '../encryption/secret-cipher.ts';
import type { ChangeFeeds } from '../changes/change-feeds.ts';
import type { ChangeLog } from '../changes/change-log.ts';
import type { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { isRefused } from './creation-errors.ts';
import type { Drains } from './drain.ts';
import { sealedMacSecret } from './mac-secrets.ts';
import type { Addresses } from './notification-url.ts';
import type { Reached } from './owners.ts';
import { takeOver, type Succession } from './take-over.ts';
import { createUpstream } from './upstream-creation.ts';
import { findSuccessor, findWebhook, type ReplacementReason, type Webhook } from './webhook.ts';
import type { WebhookClaims } from './webhook-claims.ts';

/** Pause after the upstream refused to create a successor, such as when somebody else has the second place. */
const retrySeconds = 600;

/** How often the old one is drained in one go, when a drain was under way already or pings keep coming. */
const maxRounds = 3;

/** So many replacements, each of a webhook that was not old, are no longer taken for changes of the configuration. */
const suspiciousReplacements = 2;

export interface ReplacementDeps {
  database: DataSource;
  cipher: SecretCipher;
  log: ChangeLog;
  feeds: ChangeFeeds;
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
 *    `active`, with what it must not repeat (see overlap.ts). The same when the old one dies meanwhile, with a gap in the
 *    log where nobody may have recorded.
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
    for (let round = 0; round < maxRounds; round += 1) {
      await drains.drain(old.id);
      if (await this.#finish(old.id, successor, reason, api)) return;
    }
  }

  /**
   * Puts a ready successor in the place of a webhook that is gone or records no more. What the old one may have recorded
   * and nobody pulled, until the successor was ready, is told as a gap.
   * @returns false when there is no successor that records; true when there is one, even if it was another instance, or
   *   will be a later check, that lets it take over
   */
  async rescue(webhookId: string, api: CalendlyApi): Promise<boolean> {
    const { database } = this.#deps;
    const old = await findWebhook(database, webhookId);
    if (!old) return false;
    const successor = await findSuccessor(database, old.feedId);
    if (successor?.state !== 'ready' || successor.readyAt === null) return false;
    const held = (await api.listWebhooks(old.baseId)).find(({ id }) => id === successor.upstreamId);
    if (!held?.isHookEnabled) return false;
    // Known to have lived, and pulled to its end.
    const covered = Math.min(
      ...[old.checkedAt, old.lastDrainedAt, successor.readyAt].map((at) => (at ?? old.createdAt).getTime()),
    );
    const { readyAt } = successor;
    const gap = covered < readyAt.getTime() ? { since: new Date(covered), until: readyAt } : null;
    await this.#takeOver(old, successor, held.cursorForNextPayload, { gap, reason: 'gone' });
    return true;
  }

  /** @returns whether there is nothing more to do now; else the old one has to be drained once more */
  async #finish(
    oldId: string,
    successor: Webhook,
    reason: ReplacementReason,
    api: CalendlyApi,
  ): Promise<boolean> {
    const { database } = this.#deps;
    const old = await findWebhook(database, oldId);
    const { readyAt } = successor;
    if (old?.state !== 'active' || readyAt === null) return true;
    // A drain may have failed, or been under way elsewhere since before the successor recorded.
    if (old.lastDrainedAt === null || old.lastDrainedAt < readyAt) return false;
    // Asked after that drain: what the successor has beyond this number, the old one has not told.
    const held = await api.listWebhooks(old.baseId);
    const next = held.find(({ id }) => id === successor.upstreamId);
    if (!next?.isHookEnabled) {
      await database.query(`UPDATE webhooks SET state = 'ending' WHERE id = $1 AND state = 'ready'`, [
        successor.id,
      ]);
      return true;
    }
    // One that died since it was checked may have recorded less than the drain seems to say: the next check sees to it.
    if (!held.some(({ id, isHookEnabled }) => id === old.upstreamId && isHookEnabled)) return true;
    return this.#takeOver(old, successor, next.cursorForNextPayload, { gap: null, reason });
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

  /** @param gap where the old one may not have recorded any more */
  async #takeOver(
    old: Webhook,
    successor: Webhook,
    until: number,
    { gap, reason }: { gap: Succession['gap']; reason: string },
  ): Promise<boolean> {
    const { database, log, feeds, drains, logger } = this.#deps;
    const taken = await database.transaction((sql) => takeOver(sql, log, { old, successor, until, gap }));
    if (!taken) return false;
    const { id: webhook, quickReplacements } = successor;
    logger.info({ replaced: old.id, webhook, baseId: old.baseId, reason, gap }, 'webhook replaced');
    if (quickReplacements >= suspiciousReplacements)
      logger.warn(
        { webhook, baseId: old.baseId, reason, replacements: quickReplacements },
        'a webhook is replaced again and again; do all instances have the same PUBLIC_URL and ENCRYPTION_KEYS?',
      );
    if (gap) feeds.ring(old.feedId, { generation: successor.generation, payload: 0, ordinal: 0 });
    drains.kick(webhook);
    return true;
  }
}
