import { feedFromRow, type Feed, type FeedRow } from '../changes/feed.ts';
import type { Sql } from '../database/sql.ts';
import type { ConnectionEntity } from '../connections/connection.entity.ts';
import type { Connections } from '../connections/connections.ts';
import { GatheredReads } from '../gathered-reads.ts';
import { selectWebhooks, type Webhook } from './webhook.ts';

/**
 * A connection, the feed of a base, and the webhook that is being created or is active, as whoever begins to follow it
 * needs them. After a deploy everybody does so at once: those who ask together share a statement.
 */
export class FollowedBases {
  readonly #sql: Sql;
  readonly #connections: Pick<Connections, 'get' | 'find'>;
  readonly #rows = new GatheredReads<number, Readonly<ConnectionEntity>>((ids) => this.#readConnections(ids));
  readonly #webhooks = new GatheredReads<string, Webhook>((keys) => this.#readWebhooks(keys));
  readonly #feeds = new GatheredReads<string, Feed>((keys) => this.#readFeeds(keys));

  constructor(deps: { database: Sql; connections: Pick<Connections, 'get' | 'find'> }) {
    this.#sql = deps.database;
    this.#connections = deps.connections;
  }

  /** @throws AppError CONNECTION_NOT_FOUND */
  async connection(id: number): Promise<Readonly<ConnectionEntity>> {
    return (await this.#rows.find(id)) ?? this.#connections.get(id);
  }

  /** The same as `findLivingWebhook`. */
  livingWebhook(clientId: string, baseId: string): Promise<Readonly<Webhook> | null> {
    return this.#webhooks.find(keyOf(clientId, baseId));
  }

  /** The same as the function of this name. */
  findFeed(clientId: string, baseId: string): Promise<Readonly<Feed> | null> {
    return this.#feeds.find(keyOf(clientId, baseId));
  }

  /** They ask in one turn, so it is one statement. */
  async #readConnections(ids: number[]): Promise<Map<number, Readonly<ConnectionEntity>>> {
    const found = await Promise.all(ids.map((id) => this.#connections.find(id)));
    return new Map(found.flatMap((connection) => (connection ? [[connection.id, connection]] : [])));
  }

  async #readWebhooks(keys: string[]): Promise<Map<string, Webhook>> {
    const webhooks = await this.#sql.query<Webhook[]>(
      `${selectWebhooks} JOIN unnest($1::text[], $2::text[]) AS asked (client_id, base_id)
         ON asked.client_id = f.client_id AND asked.base_id = f.base_id
       WHERE w.state IN ('creating', 'active')`,
      columnsOf(keys),
    );
    return new Map(webhooks.map((webhook) => [keyOf(webhook.clientId, webhook.baseId), webhook]));
  }

  async #readFeeds(keys: string[]): Promise<Map<string, Feed>> {
    const rows = await this.#sql.query<FeedRow[]>(
      'SELECT change_feeds.* FROM change_feeds JOIN unnest($1::text[], $2::text[]) AS asked (client_id, base_id) USING (client_id, base_id)',
      columnsOf(keys),
    );
    return new Map(rows.map((row) => [keyOf(row.client_id, row.base_id), feedFromRow(row)]));
  }
}

function keyOf(clientId: string, baseId: string): string {
  return JSON.stringify([clientId, baseId]);
}

/** The clients and the bases of keys, as two lists. */
function columnsOf(keys: string[]): [string[], string[]] {
  const pairs = keys.map((key) => JSON.parse(key) as [clientId: string, baseId: string]);
  return [pairs.map(([clientId]) => clientId), pairs.map(([, baseId]) => baseId)];
}
