import { setMaxListeners } from 'node:events';
import type { DataSource } from 'typeorm';
import type { BaseSchemas } from '../bases/base-schemas.ts';
import { SharedReads } from '../bases/shared-reads.ts';
import { requireId } from '../calendly/ids.ts';
import type { Operation } from '../calendly/operation.ts';
import type { BaseDoubts } from '../changes/base-doubts.ts';
import type { ChangeFeeds } from '../changes/change-feeds.ts';
import type { ChangeLog } from '../changes/change-log.ts';
import type { Feed } from '../changes/feed.ts';
import type { LogEntry } from '../changes/log-entry.ts';
import type { Clock } from '../clock.ts';
import { notConnected } from '../connections/not-connected.ts';
import type { ConnectionEntity } from '../connections/connection.entity.ts';
import type { Connections } from '../connections/connections.ts';
import type { SecretCipher } from '../encryption/secret-cipher.ts';
import { requireScopes, type Upstream } from '../connections/upstream.ts';
import type { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { AskedDrains } from './asked-drains.ts';
import { BaseReaders } from './base-readers.ts';
import { Drains } from './drain.ts';
import { FeedUses, noteUse } from './feed-use.ts';
import { FollowedBases } from './followed-bases.ts';
import type { Addresses } from './notification-url.ts';
import { Owners } from './owners.ts';
import { Pings } from './pings.ts';
import { PlannedReplacement } from './planned-replacement.ts';
import { ReplacementReasons } from './replacement-reasons.ts';
import { SharedWebhooks, webhookNotFound } from './shared-webhooks.ts';
import { requiredScopes } from './specification.ts';
import { Upkeep } from './upkeep.ts';
import type { Webhook } from './webhook.ts';
import { WebhookChecks } from './webhook-checks.ts';
import { WebhookClaims } from './webhook-claims.ts';
import { WebhookCreation } from './webhook-creation.ts';
import { WebhookEndings } from './webhook-endings.ts';
import { webhookOperation } from './webhook-operation.ts';

export interface WebhooksDeps {
  database: DataSource;
  connections: Connections;
  upstream: Upstream;
  schemas: BaseSchemas;
  cipher: SecretCipher;
  log: ChangeLog;
  feeds: ChangeFeeds;
  doubts: BaseDoubts;
  /** Where the upstream pings us. */
  addresses: Addresses;
  retentionDays: number;
  /** Days without use after which a webhook is deleted; 0 for never. */
  idleDays: number;
  /** Whether this process looks after webhooks that nobody follows here. */
  forAll: boolean;
  clock: Clock;
  logger: Logger;
  /** Told of a notification with a wrong signature. */
  onForged: (connectionId: number) => void;
  /** Told of what was added to a base's log. */
  onAppended: (entries: readonly LogEntry[]) => void;
}

/** Webhooks that are made for several who wait for them. */
const maxShared = 1_000;

/** The webhooks that we hold upstream: one per OAuth client and base, whoever asks for it. */
export class Webhooks {
  readonly pings: Pings;
  readonly shared: SharedWebhooks;
  readonly askedDrains: AskedDrains;
  readonly #deps: WebhooksDeps;
  readonly #readers: BaseReaders;
  readonly #endings: WebhookEndings;
  readonly #creation: WebhookCreation;
  /** However many begin to follow a base at once, one of them looks after its webhook. */
  readonly #creating: SharedReads<Webhook>;
  readonly #bases: FollowedBases;
  readonly #uses: FeedUses;
  readonly #drains: Drains;
  readonly #upkeep: Upkeep;
  readonly #closing = new AbortController();

  constructor(deps: WebhooksDeps) {
    // Everything under way listens to it; Node takes more than ten for a leak.
    setMaxListeners(0, this.#closing.signal);
    this.#deps = deps;
    this.#readers = new BaseReaders(deps);
    this.#bases = new FollowedBases(deps);
    this.#uses = new FeedUses(deps);
    this.#creating = new SharedReads({ clock: deps.clock, maxAgeMs: 0, maxEntries: maxShared });
    this.shared = new SharedWebhooks({ ...deps, readers: this.#readers });
    const { doubts } = deps;
    doubts.onDoubt((connectionId, baseId) => this.#readers.doubt(connectionId, baseId));
    const owners = new Owners({
      ...deps,
      onRefused: (connectionId, baseId) => doubts.tell(connectionId, baseId),
    });
    const claims = new WebhookClaims(deps);
    this.#endings = new WebhookEndings({ ...deps, owners });
    this.#creation = new WebhookCreation({ ...deps, claims });
    this.#drains = new Drains({ ...deps, onRefused: (webhookId) => this.#upkeep.checkSoon(webhookId) });
    this.askedDrains = new AskedDrains({ ...deps, drains: this.#drains });
    const checks = new WebhookChecks({
      ...deps,
      owners,
      drains: this.#drains,
      creation: this.#creation,
      replacement: new PlannedReplacement({ ...deps, claims, drains: this.#drains }),
      reasons: new ReplacementReasons(deps),
    });
    this.#upkeep = new Upkeep({ ...deps, drains: this.#drains, checks });
    this.pings = new Pings({ ...deps, drains: this.#drains });
  }

  /** Begins to pull, check and replace by itself. */
  start(): void {
    this.#upkeep.start();
  }

  /**
   * The webhook that feeds a base's log, made now unless there is one.
   * @throws AppError CONNECTION_NOT_FOUND, CONNECTION_NOT_CONNECTED, SCOPE_MISSING before anything is sent;
   *   BASE_NOT_FOUND before anything is stored; UPSTREAM_FORBIDDEN, WEBHOOK_LIMIT and what any upstream call throws
   */
  async ensure(
    connectionId: number,
    baseId: string,
    operation: Operation,
  ): Promise<{ webhook: Webhook; feed: Feed }> {
    const connection = await this.#readingConnection(connectionId, baseId);
    requireScopes(connection, requiredScopes);
    // Nothing is stored or made for a base before it is known to be there; whoever may not read it is told just that.
    await this.#readers.require(connection, baseId, operation);
    const living = await this.#bases.livingWebhook(connection.clientId, baseId);
    const webhook = living?.state === 'active' ? living : await this.#create(connection, baseId, operation);
    const feed = await this.#bases.findFeed(connection.clientId, baseId);
    if (!feed) throw new Error('A webhook has no feed.');
    await this.#uses.note(feed);
    return { webhook, feed };
  }

  /** Why a connection can no longer follow a base; null when it still can. Throws when the upstream can't say so now. */
  async refusal(connectionId: number, baseId: string): Promise<AppError | null> {
    const connection = await this.#deps.connections.get(connectionId);
    const operation = webhookOperation(this.#deps.clock, this.#closing.signal);
    return this.#readers.refusal(connection, baseId, operation);
  }

  #create(connection: ConnectionEntity, baseId: string, operation: Operation): Promise<Webhook> {
    const key = `${connection.id}/${connection.epoch}/${baseId}`;
    return this.#creating.read(key, operation, () => this.#creation.create(connection, baseId, operation));
  }

  /**
   * The log of a base for somebody who only wants to read what is there; null when nothing was ever logged.
   * @throws AppError BASE_NOT_FOUND, also where there is no log, and what `BaseReaders.require` throws
   */
  async findFeed(connectionId: number, baseId: string, operation: Operation): Promise<Feed | null> {
    const connection = await this.#readingConnection(connectionId, baseId);
    requireScopes(connection, ['data.records:read']);
    await this.#readers.require(connection, baseId, operation);
    const feed = await this.#bases.findFeed(connection.clientId, baseId);
    if (feed) await this.#uses.note(feed);
    return feed;
  }

  /** Extends its life upstream to seven days from now. */
  async refresh(webhook: Webhook, operation: Operation): Promise<Webhook> {
    const { upstreamId, connectionId } = webhook;
    if (upstreamId === null || connectionId === null || webhook.state !== 'active')
      throw webhookNotFound(webhook.id);
    const api = await this.#deps.upstream.api(connectionId, operation, ['webhook:manage']);
    const { expirationTime } = await api.refreshWebhook(webhook.baseId, upstreamId);
    await this.#deps.database.query(
      'UPDATE webhooks SET expires_at = $2, refreshed_at = clock_timestamp() WHERE id = $1',
      [webhook.id, expirationTime],
    );
    await noteUse(this.#deps.database, [webhook.feedId]);
    return this.shared.get(webhook.id);
  }

  /** Deletes it upstream, then here. While somebody listens to the base, a new one is made after some seconds. */
  delete(webhook: Webhook, operation: Operation): Promise<void> {
    return this.#endings.delete(webhook, operation);
  }

  /**
   * To be called before a connection's tokens go: its webhooks are handed to another connection of the same client that
   * may read the base, or deleted upstream, as far as that works.
   * @returns upstream ids of the webhooks that were deleted, and of those whose deletion was not confirmed
   */
  async releaseConnection(connectionId: number): Promise<{ deleted: string[]; failed: string[] }> {
    const operation = webhookOperation(this.#deps.clock, this.#closing.signal, 'person');
    return this.#endings.release(connectionId, operation);
  }

  /** To be called when a connection works again: what waited for it need not wait any longer. */
  async connectionReady(connectionId: number): Promise<void> {
    await this.#deps.database.query(
      `UPDATE webhooks SET drain_wanted_at = clock_timestamp(), drain_not_before = NULL, check_lease_until = NULL
       WHERE id IN (SELECT id FROM webhooks WHERE connection_id = $1 AND state IN ('active', 'lost', 'ending')
                    ORDER BY id FOR UPDATE)`,
      [connectionId],
    );
  }

  /** Lets drains under way end; what they have not appended is pulled again by whoever comes next. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#upkeep.close(), this.#drains.close()]);
  }

  /** A connection in `error` may still read what others pull. */
  async #readingConnection(connectionId: number, baseId: string): Promise<ConnectionEntity> {
    requireId('app', baseId);
    const connection = await this.#bases.connection(connectionId);
    if (connection.state === 'connected' || connection.state === 'error') return connection;
    throw notConnected(connectionId, connection.state, connection.problemCode);
  }
}
