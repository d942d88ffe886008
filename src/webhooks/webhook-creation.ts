import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import type { CalendlyApi } from '../calendly/api.ts';
import type { Operation } from '../calendly/operation.ts';
import type { CreatedWebhook } from '../calendly/wire.ts';
import type { ChangeFeeds } from '../changes/change-feeds.ts';
import type { ChangeLog } from '../changes/change-log.ts';
import type { FeedRow } from '../changes/feed.ts';
import type { Position } from '../changes/position.ts';
import type { Clock } from '../clock.ts';
import type { ConnectionEntity } from '../connections/connection.entity.ts';
import type { SecretCipher } from '../encryption/secret-cipher.ts';
import type { Upstream } from '../connections/upstream.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { beginLog, logGap } from './log-gaps.ts';
import { sealedMacSecret } from './mac-secrets.ts';
import type { Addresses } from './notification-url.ts';
import { revive } from './revival.ts';
import { requiredScopes } from './specification.ts';
import { createUpstream } from './upstream-creation.ts';
import { findLivingWebhook, type Webhook } from './webhook.ts';
import type { Claim, WebhookClaims } from './webhook-claims.ts';

/** How often one looks whether another instance's create has ended. */
const lookAgainMs = 150;

export interface CreationDeps {
  database: DataSource;
  upstream: Pick<Upstream, 'api'>;
  cipher: SecretCipher;
  log: ChangeLog;
  feeds: ChangeFeeds;
  claims: WebhookClaims;
  addresses: Addresses;
  clock: Clock;
  logger: Logger;
}

/**
 * Creates the one webhook of a feed that has none. Three steps, so that no database lock is held across the call:
 *
 * 1. claim: a row with our own random route id, in state `creating`.
 * 2. the create call.
 * 3. activate: the sealed secret, and in the same transaction what the log says about the time without a webhook.
 *
 * A process that dies in between leaves a stale row, and perhaps a webhook that nobody has the secret of; the next
 * create marks the one as failed and deletes the other.
 */
export class WebhookCreation {
  readonly #deps: CreationDeps;

  constructor(deps: CreationDeps) {
    this.#deps = deps;
  }

  /** The living webhook of the base, made now, or taken up again, unless there is one. */
  async create(connection: ConnectionEntity, baseId: string, operation: Operation): Promise<Webhook> {
    const api = await this.#deps.upstream.api(connection.id, operation, requiredScopes);
    if (await revive(this.#deps.database, api, connection, baseId))
      this.#deps.logger.info({ connectionId: connection.id, baseId }, 'webhook taken up again');
    while (this.#deps.clock.now() < operation.deadline && !operation.signal?.aborted) {
      const claim = await this.#deps.claims.first(connection, baseId);
      if (claim) {
        const created = await createUpstream(api, connection, baseId, claim, this.#deps);
        await this.#activate(claim, created, api, baseId);
      }
      const living = await findLivingWebhook(this.#deps.database, connection.clientId, baseId);
      if (living?.state === 'active') return living;
      await sleep(lookAgainMs);
    }
    throw new AppError(
      'DEADLINE_EXCEEDED',
      `No webhook for base ${baseId} came to life in time; another instance may be creating it. Try again.`,
      {
        details: { baseId },
      },
    );
  }

  async #activate(claim: Claim, created: CreatedWebhook, api: CalendlyApi, baseId: string): Promise<void> {
    const { database, cipher, log, feeds, logger } = this.#deps;
    const envelope = sealedMacSecret(cipher, claim.id, created.macSecretBase64);
    const start: Position = { generation: claim.generation, payload: 0, ordinal: 0 };
    const alive = await database.transaction(async (sql) => {
      const [feed] = await sql.query<FeedRow[]>('SELECT * FROM change_feeds WHERE id = $1 FOR UPDATE', [
        claim.feed.id,
      ]);
      await sql.query(
        `SELECT 1 FROM webhooks WHERE feed_id = $1 AND state IN ('creating', 'lost') ORDER BY id FOR UPDATE`,
        [claim.feed.id],
      );
      const [rows] = await sql.query<[{ now: Date }[], number]>(
        `UPDATE webhooks SET state = 'active', upstream_id = $2, mac_secret_envelope = $3, expires_at = $4, problem = NULL,
                refreshed_at = clock_timestamp(), checked_at = clock_timestamp(), drain_wanted_at = clock_timestamp()
         WHERE id = $1 AND state = 'creating' RETURNING clock_timestamp() AS now`,
        [claim.id, created.id, envelope, created.expirationTime ?? null],
      );
      if (!feed || !rows[0]) return false;
      await (feed.generation === 0
        ? beginLog(sql, claim.feed.id, start)
        : logGap(sql, log, feed, start, rows[0].now));
      await sql.query('UPDATE change_feeds SET generation = $2 WHERE id = $1', [feed.id, claim.generation]);
      await sql.query(`UPDATE webhooks SET state = 'deleted' WHERE feed_id = $1 AND state = 'lost'`, [
        feed.id,
      ]);
      return true;
    });
    if (alive) {
      logger.info({ webhook: claim.id, baseId, pullOnly: claim.url === null }, 'webhook created');
      feeds.ring(claim.feed.id, start);
      return;
    }
    // Somebody took us for dead, or the connection was given up meanwhile.
    await api
      .deleteWebhook(baseId, created.id)
      .catch((error: unknown) =>
        logger.warn({ err: error, baseId }, 'a superseded webhook could not be deleted'),
      );
  }
}
