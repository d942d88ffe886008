import { randomUUID } from 'node:crypto';
import type { DataSource, EntityManager } from 'typeorm';
import { feedFromRow, type Feed, type FeedRow } from '../changes/feed.ts';
import type { ConnectionEntity } from '../connections/connection.entity.ts';
import { notificationUrl, type Addresses } from './notification-url.ts';
import { dataTypesFor } from './specification.ts';
import type { Webhook } from './webhook.ts';

/** A create that has not ended by then never will: its process is gone. */
const staleAfterSeconds = 120;

/** A webhook that is replaced at a younger age was replaced quickly. */
const quickWithinSeconds = 2 * 86_400;

/** The right to create a webhook upstream, and where it will ping us. */
export interface Claim {
  /** Our own random route id. */
  id: string;
  feed: Feed;
  generation: number;
  /** Null: it will only be pulled. */
  url: string | null;
}

/**
 * Rows that are stored before the create call, because the first ping may come before its answer. There can be one of a
 * kind per feed, so whoever comes second waits for the first.
 */
export class WebhookClaims {
  readonly #database: DataSource;
  readonly #addresses: Addresses;

  constructor(deps: { database: DataSource; addresses: Addresses }) {
    this.#database = deps.database;
    this.#addresses = deps.addresses;
  }

  /** For the webhook of a feed; null when there is a living one, or another create is under way. */
  async first(connection: ConnectionEntity, baseId: string): Promise<Claim | null> {
    return this.#database.transaction(async (sql) => {
      await sql.query(
        'INSERT INTO change_feeds (client_id, base_id) VALUES ($1, $2) ON CONFLICT DO NOTHING',
        [connection.clientId, baseId],
      );
      const [row] = await sql.query<FeedRow[]>(
        'SELECT * FROM change_feeds WHERE client_id = $1 AND base_id = $2 FOR UPDATE',
        [connection.clientId, baseId],
      );
      if (!row) return null;
      await giveUpStale(sql, row.id, 'creating');
      const living = await sql.query<unknown[]>(
        `SELECT 1 FROM webhooks WHERE feed_id = $1 AND state IN ('creating', 'active')`,
        [row.id],
      );
      return living.length > 0 ? null : this.#store(sql, row, connection, 'creating');
    });
  }

  /** For the successor of a living webhook; null when there is one, or one is being created. */
  async successor(webhook: Webhook, connection: ConnectionEntity): Promise<Claim | null> {
    return this.#database.transaction(async (sql) => {
      const [row] = await sql.query<FeedRow[]>('SELECT * FROM change_feeds WHERE id = $1 FOR UPDATE', [
        webhook.feedId,
      ]);
      if (!row) return null;
      await giveUpStale(sql, row.id, 'preparing');
      const others = await sql.query<unknown[]>(
        `SELECT 1 FROM webhooks WHERE feed_id = $1 AND state IN ('preparing', 'ready')`,
        [row.id],
      );
      if (others.length > 0) return null;
      const claim = await this.#store(sql, row, connection, 'preparing');
      // What the living one has not been drained of may be recorded by both.
      await sql.query(
        `UPDATE webhooks AS successor
         SET overlap = jsonb_build_object('generation', living.generation, 'from', living.next_payload),
             quick_replacements = CASE WHEN living.created_at > clock_timestamp() - make_interval(secs => $3) THEN living.quick_replacements + 1 ELSE 0 END
         FROM webhooks AS living WHERE successor.id = $1 AND living.id = $2`,
        [claim.id, webhook.id, quickWithinSeconds],
      );
      return claim;
    });
  }

  async #store(
    sql: EntityManager,
    feed: FeedRow,
    connection: ConnectionEntity,
    state: 'creating' | 'preparing',
  ): Promise<Claim> {
    const id = randomUUID();
    const url = notificationUrl(id, this.#addresses);
    // Seconds since 2020, not a mere count: after a restore of an older dump no number is given out a second time.
    const [row] = await sql.query<{ generation: number }[]>(
      `INSERT INTO webhooks (id, feed_id, generation, connection_id, notification_url, state, data_types)
       SELECT $1, $2, greatest(coalesce(max(generation), 0) + 1, $3 + 1,
                               extract(epoch FROM clock_timestamp() - timestamptz '2020-01-01T00:00:00Z')::integer), $4, $5, $6, $7
       FROM webhooks WHERE feed_id = $2
       RETURNING generation`,
      [id, feed.id, feed.generation, connection.id, url, state, dataTypesFor(connection.grantedScopes)],
    );
    if (!row) throw new Error('The webhook row was not stored.');
    return { id, feed: feedFromRow(feed), generation: row.generation, url };
  }
}

async function giveUpStale(
  sql: EntityManager,
  feedId: number,
  state: 'creating' | 'preparing',
): Promise<void> {
  await sql.query(
    `UPDATE webhooks SET state = 'failed', problem = 'The create call did not end.'
     WHERE feed_id = $1 AND state = $3 AND created_at < clock_timestamp() - make_interval(secs => $2)`,
    [feedId, staleAfterSeconds, state],
  );
}
