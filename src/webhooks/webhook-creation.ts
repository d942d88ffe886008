import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource, EntityManager } from 'typeorm';
import type { CalendlyApi } from '../calendly/api.ts';
import type { Operation } from '../calendly/operation.ts';
import type { CreatedWebhook } from '../calendly/wire.ts';
import type { ChangeFeeds } from '../changes/change-feeds.ts';
import type { ChangeLog } from '../changes/change-log.ts';
import { feedFromRow, type Feed, type FeedRow } from '../changes/feed.ts';
import type { Position } from '../changes/position.ts';
import type { Clock } from '../clock.ts';
import type { ConnectionEntity } from '../connections/connection.entity.ts';
import type { SecretCipher } from '../encryption/secret-cipher.ts';
import type { Upstream } from '../connections/upstream.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { explained, isRefusal } from './creation-errors.ts';
import { removeLeftovers } from './leftover-webhooks.ts';
import { notificationUrl } from './notification-url.ts';
import { requiredScopes, specificationFor } from './specification.ts';
import { findLivingWebhook, type Webhook } from './webhook.ts';

/** A create that has not ended by then never will: its process is gone. */
const staleAfterSeconds = 120;

/** How often one looks whether another instance's create has ended. */
const lookAgainMs = 150;

export interface CreationDeps {
  database: DataSource;
  upstream: Pick<Upstream, 'api'>;
  cipher: SecretCipher;
  log: ChangeLog;
  feeds: ChangeFeeds;
  /** Where we can be reached, and where the upstream is. */
  publicUrl: string;
  apiUrl: string;
  clock: Clock;
  logger: Logger;
}

/**
 * Creates the one webhook of a feed. Three steps, so that no database lock is held across the call:
 *
 * 1. claim: a row with our own random route id, in state `creating`. There can be only one per feed, so whoever comes
 *    second waits for the first. It is stored before the call because the first ping may come before the answer.
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

  /** The living webhook of the base, made now unless there is one. */
  async create(connection: ConnectionEntity, baseId: string, operation: Operation): Promise<Webhook> {
    const api = await this.#deps.upstream.api(connection.id, operation, requiredScopes);
    while (this.#deps.clock.now() < operation.deadline && !operation.signal?.aborted) {
      const claim = await this.#claim(connection, baseId);
      if (claim) {
        const created = await this.#createUpstream(api, connection, baseId, claim);
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

  /** @returns null when there is a living webhook, or another create is under way. */
  async #claim(connection: ConnectionEntity, baseId: string): Promise<Claim | null> {
    const { publicUrl, apiUrl } = this.#deps;
    return this.#deps.database.transaction(async (sql) => {
      await sql.query(
        'INSERT INTO change_feeds (client_id, base_id) VALUES ($1, $2) ON CONFLICT DO NOTHING',
        [connection.clientId, baseId],
      );
      const [row] = await sql.query<FeedRow[]>(
        'SELECT * FROM change_feeds WHERE client_id = $1 AND base_id = $2 FOR UPDATE',
        [connection.clientId, baseId],
      );
      if (!row) return null;
      await sql.query(
        `UPDATE webhooks SET state = 'failed', problem = 'The create call did not end.'
         WHERE feed_id = $1 AND state = 'creating' AND created_at < clock_timestamp() - make_interval(secs => $2)`,
        [row.id, staleAfterSeconds],
      );
      const living = await sql.query<unknown[]>(
        `SELECT 1 FROM webhooks WHERE feed_id = $1 AND state IN ('creating', 'active')`,
        [row.id],
      );
      if (living.length > 0) return null;
      const id = randomUUID();
      const url = notificationUrl(id, publicUrl, apiUrl);
      // Seconds since 2020, not a mere count: after a restore of an older dump no number is given out a second time.
      const [generation] = await sql.query<{ generation: number }[]>(
        `INSERT INTO webhooks (id, feed_id, generation, connection_id, notification_url, state)
         SELECT $1, $2, greatest(coalesce(max(generation), 0) + 1, $3 + 1,
                                 extract(epoch FROM clock_timestamp() - timestamptz '2020-01-01T00:00:00Z')::integer), $4, $5, 'creating'
         FROM webhooks WHERE feed_id = $2
         RETURNING generation`,
        [id, row.id, row.generation, connection.id, url],
      );
      if (!generation) throw new Error('The webhook row was not stored.');
      return { id, feed: feedFromRow(row), generation: generation.generation, url };
    });
  }

  async #createUpstream(
    api: CalendlyApi,
    connection: ConnectionEntity,
    baseId: string,
    claim: Claim,
  ): Promise<CreatedWebhook> {
    const body = {
      notificationUrl: claim.url ?? undefined,
      specification: specificationFor(connection.grantedScopes),
    };
    try {
      if (claim.feed.generation > 0 || (await this.#hasFailures(claim.feed.id)))
        await removeLeftovers(api, baseId, this.#deps);
      try {
        return await api.createWebhook(baseId, body);
      } catch (error) {
        // Another life of this server may hold the places; what points to us and is not ours any more can go.
        if (!isRefusal(error) || (await removeLeftovers(api, baseId, this.#deps)) === 0) throw error;
        return await api.createWebhook(baseId, body);
      }
    } catch (error) {
      await this.#deps.database.query(
        `UPDATE webhooks SET state = 'failed', problem = $2 WHERE id = $1 AND state = 'creating'`,
        [claim.id, error instanceof AppError ? error.message : 'The create call failed.'],
      );
      throw explained(error, connection.id, baseId);
    }
  }

  async #activate(claim: Claim, created: CreatedWebhook, api: CalendlyApi, baseId: string): Promise<void> {
    const { database, cipher, log, feeds, logger } = this.#deps;
    const envelope = cipher.seal(created.macSecretBase64, {
      table: 'webhooks',
      column: 'mac_secret_envelope',
      row: claim.id,
    });
    const start: Position = { generation: claim.generation, payload: 0, ordinal: 0 };
    const alive = await database.transaction(async (sql) => {
      const [feed] = await sql.query<FeedRow[]>('SELECT * FROM change_feeds WHERE id = $1 FOR UPDATE', [
        claim.feed.id,
      ]);
      const [rows] = await sql.query<[{ now: Date }[], number]>(
        `UPDATE webhooks SET state = 'active', upstream_id = $2, mac_secret_envelope = $3, expires_at = $4, problem = NULL,
                refreshed_at = clock_timestamp(), checked_at = clock_timestamp(), drain_wanted_at = clock_timestamp()
         WHERE id = $1 AND state = 'creating' RETURNING clock_timestamp() AS now`,
        [claim.id, created.id, envelope, created.expirationTime ?? null],
      );
      if (!feed || !rows[0]) return false;
      await (feed.generation === 0
        ? beginLog(sql, start, claim.feed.id)
        : this.#logLoss(sql, log, feed, start, rows[0].now));
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

  /** Between the last moment that the former webhook is known to have covered, and now, anything may have happened. */
  async #logLoss(
    sql: EntityManager,
    log: ChangeLog,
    feed: FeedRow,
    position: Position,
    until: Date,
  ): Promise<void> {
    const [covered] = await sql.query<{ until: Date }[]>(
      'SELECT coalesce(least(last_drained_at, checked_at), created_at) AS until FROM webhooks WHERE feed_id = $1 AND generation = $2',
      [feed.id, feed.generation],
    );
    await log.append(sql, feed.id, [
      {
        kind: 'lost',
        position,
        occurredAt: until,
        source: 'system',
        actor: null,
        transaction: null,
        loss: {
          reason: 'webhook_gone',
          since: covered?.until.toISOString() ?? null,
          until: until.toISOString(),
        },
      },
    ]);
  }

  async #hasFailures(feedId: number): Promise<boolean> {
    const rows = await this.#deps.database.query<unknown[]>(
      `SELECT 1 FROM webhooks WHERE feed_id = $1 AND state = 'failed' LIMIT 1`,
      [feedId],
    );
    return rows.length > 0;
  }
}

interface Claim {
  id: string;
  feed: Feed;
  generation: number;
  url: string | null;
}

/** The first webhook of a feed: before it there is nothing to be had, which a cursor from another life must learn. */
async function beginLog(
  sql: EntityManager,
  { generation, payload, ordinal }: Position,
  feedId: number,
): Promise<void> {
  await sql.query(
    `UPDATE change_feeds SET pruned_generation = $2, pruned_payload = $3, pruned_ordinal = $4, pruned_until = clock_timestamp() WHERE id = $1`,
    [feedId, generation, payload, ordinal],
  );
}
