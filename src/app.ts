import type { DataSource } from 'typeorm';
import { ActivityLog } from './activity/activity-log.ts';
import { endpointFailing } from './activity/alert-rules.ts';
import { Alerts } from './activity/alerts.ts';
import { attemptKinds, refreshKinds } from './activity/counted-as.ts';
import { ApiKeys } from './access/api-keys.ts';
import { Authentication } from './access/authentication.ts';
import { CallerWatch } from './access/caller-watch.ts';
import { ExplorerCodes } from './access/explorer-codes.ts';
import { IdentityTokens } from './access/identity-tokens.ts';
import { KeptCallers } from './access/kept-callers.ts';
import { KeyWatch } from './access/key-watch.ts';
import { OperationsInFlight } from './access/operations-in-flight.ts';
import { Triggers } from './automation/triggers/triggers.ts';
import { AuditEntries } from './audit/audit-entries.ts';
import { AuditLog } from './audit/audit-log.ts';
import { AuditRetention } from './audit/audit-retention.ts';
import { BaseSchemas } from './bases/base-schemas.ts';
import { BaseDoubts } from './changes/base-doubts.ts';
import { ChangeFeeds } from './changes/change-feeds.ts';
import { ChangeLog } from './changes/change-log.ts';
import { LogStandings } from './changes/log-standing.ts';
import { SubscriptionStarts } from './changes/subscription-starts.ts';
import { creationsBetween } from './changes/creations.ts';
import { ConnectionWatch } from './changes/connection-watch.ts';
import type { Operation } from './calendly/operation.ts';
import { Permits } from './calendly/permits.ts';
import { RateLimiter } from './calendly/rate-limit.ts';
import { Transport } from './calendly/transport.ts';
import type { Clock } from './clock.ts';
import { endOf } from './app-end.ts';
import type { Config } from './config.ts';
import { AccessTokens } from './connections/access-tokens.ts';
import { AuthorizationFlows } from './connections/authorization-flows.ts';
import { ConnectionChanges } from './connections/connection-changes.ts';
import { ConnectionLifecycle } from './connections/connection-lifecycle.ts';
import { keepGrantAccount } from './connections/grant-account.ts';
import { ConnectionSecrets } from './connections/connection-secrets.ts';
import { readConnectionsFile } from './connections/connections-file.ts';
import { Connections } from './connections/connections.ts';
import { GrantEnding } from './connections/grant-ending.ts';
import { ManagedConnections } from './connections/managed-connections.ts';
import { OAuthClient, type Credentials } from './connections/oauth-client.ts';
import { listenerName } from './encryption/sealing-servers.ts';
import { SecretCipher } from './encryption/secret-cipher.ts';
import { bringBackReadable } from './connections/readable-again.ts';
import { StoredFlows } from './connections/stored-flows.ts';
import { TokenUpkeep } from './connections/token-upkeep.ts';
import { Upstream } from './connections/upstream.ts';
import { connectDatabase, createDataSource, migrate, poolUse } from './database/data-source.ts';
import { Notifications } from './database/notifications.ts';
import type { Logger } from './logger.ts';
import { Metrics } from './metrics/metrics.ts';
import { RecordCopies } from './records/copies/record-copies.ts';
import { RecordReads } from './records/record-reads.ts';
import { StoredWrites } from './records/writes/stored-writes.ts';
import { Syncs } from './sync/syncs.ts';
import { leaveConnection } from './webhooks/webhook.ts';
import { Webhooks } from './webhooks/webhooks.ts';

/** The configuration once everything that may be left out has been settled. */
export type ResolvedConfig = Config & {
  databaseUrl: string;
  publicUrl: string;
  upstream: { apiUrl: string; oauthUrl: string };
};

/** Everything that lives as long as the process, built once. */
export interface App {
  config: ResolvedConfig;
  logger: Logger;
  clock: Clock;
  database: DataSource;
  metrics: Metrics;
  audit: AuditLog;
  auditEntries: AuditEntries;
  activity: ActivityLog;
  alerts: Alerts;
  keys: ApiKeys;
  authentication: Authentication;
  callerWatch: CallerWatch;
  explorerCodes: ExplorerCodes;
  operationsInFlight: OperationsInFlight;
  connections: Connections;
  connectionChanges: ConnectionChanges;
  lifecycle: ConnectionLifecycle;
  flows: AuthorizationFlows;
  tokens: AccessTokens;
  upstream: Upstream;
  baseSchemas: BaseSchemas;
  recordReads: RecordReads;
  recordCopies: RecordCopies;
  recordWrites: StoredWrites;
  changeLog: ChangeLog;
  logStandings: LogStandings;
  subscriptionStarts: SubscriptionStarts;
  changeFeeds: ChangeFeeds;
  connectionWatch: ConnectionWatch;
  webhooks: Webhooks;
  triggers: Triggers;
  syncs: Syncs;
  isClosing(): boolean;
  /** Ends what runs by itself, while requests in flight go on. `close` does so as well. */
  endBackground(): Promise<void>;
  /** Closes in the reverse order of building: nothing is closed that something open still needs. */
  close(): Promise<void>;
}

/** The composition root: builds every service once and hands each what it needs. Migrates the database first. */
export async function createApp(
  config: ResolvedConfig,
  { logger, clock }: { logger: Logger; clock: Clock },
): Promise<App> {
  // Its faults are told before anything is touched.
  const connectionsFile = config.connectionsFile ? await readConnectionsFile(config.connectionsFile) : null;
  await migrate(config.databaseUrl, logger);
  const database = createDataSource(config.databaseUrl, { poolSize: config.databasePoolSize });
  await connectDatabase(database);

  // One that only answers requests leaves what runs by itself to others.
  const works = config.role !== 'web';
  const audit = new AuditLog({ database, logger });
  const provider = config.identityProvider;
  const identity = provider && new IdentityTokens({ provider, clock, logger });
  const metrics = new Metrics();
  const alerts = new Alerts(database);
  const activity = new ActivityLog({
    database,
    alerts,
    clock,
    logger,
    onAlert: ({ kind }) => metrics.alertRaised(kind),
  });
  const authentication = new Authentication({
    database,
    identity,
    audit: audit.record,
    clock,
    logger,
    onWrongKey: () => metrics.wrongKey(),
  });
  const keys = new ApiKeys(database, audit.record, () => authentication.doubtKeys());
  await (config.adminApiKey ? keys.ensureAdminKey(config.adminApiKey) : keys.endAdminKey());
  const callerWatch = new CallerWatch({ keys: new KeyWatch({ database, logger }), clock });
  const explorerCodes = new ExplorerCodes(database, keys, audit.record);

  const permits = new Permits((text, params) => database.query(text, params), config.rateLimit);
  const rateLimit = new RateLimiter({ permits, penaltyMs: config.rateLimit.penaltyMs, clock, logger });
  const transport = new Transport({
    apiUrl: config.upstream.apiUrl,
    rateLimit,
    clock,
    logger,
    onAttempt: (attempt) => {
      metrics.upstreamAttempt(attempt);
      for (const kind of attemptKinds[attempt.outcome]) activity.count(attempt.connectionId, kind);
    },
  });

  const cipher = new SecretCipher(config.encryptionKeys);
  const secrets = new ConnectionSecrets(cipher);
  const oauth = (credentials: Credentials) => new OAuthClient(config.upstream.oauthUrl, credentials);
  const connections = new Connections(database, secrets);
  const tokens = new AccessTokens({
    database,
    secrets,
    oauth,
    audit: audit.record,
    clock,
    logger,
    onRefresh: (connectionId, outcome) => {
      metrics.tokenRefresh(outcome);
      activity.count(connectionId, refreshKinds[outcome]);
    },
  });
  const tokenUpkeep = new TokenUpkeep({ database, tokens, clock, logger });
  metrics.watch({
    upstreamQueue: () => rateLimit.waiting,
    pool: () => poolUse(database),
    connectionStates: () => connections.countByState(),
  });
  const upstream = new Upstream({ connections, tokens, transport });

  const callers = new KeptCallers({ keys, provider, clock });
  const flows = new AuthorizationFlows({
    database,
    connections,
    secrets,
    stored: new StoredFlows({ database, cipher, callers, clock }),
    callers,
    oauth,
    oauthUrl: config.upstream.oauthUrl,
    publicUrl: config.publicUrl,
    audit: audit.record,
    clock,
    logger,
    afterConnecting: async (connectionId) => {
      await webhooks.connectionReady(connectionId);
      await keepGrantAccount(connectionId, { connections, upstream, clock });
    },
  });

  const baseSchemas = new BaseSchemas({ upstream, clock });
  const recordReads = new RecordReads({ clock });
  const recordCopies = new RecordCopies({
    database,
    clock,
    refresh: (feedId) => webhooks.askedDrains.drainSoon(feedId),
  });
  const recordWrites = new StoredWrites({
    database,
    clock,
    logger,
    findCreations: (place, since, until) => creationsBetween(database, place, since, until),
  });

  const changeLog = new ChangeLog(database);
  const logStandings = new LogStandings({ database });
  const notifications = new Notifications({
    databaseUrl: config.databaseUrl,
    name: listenerName(cipher.sealingKeyId),
    logger,
  });
  const changeFeeds = new ChangeFeeds({ database, notifications, log: changeLog, logger });
  const connectionChanges = new ConnectionChanges({ connections, notifications, logger });
  const doubts = new BaseDoubts({ database, notifications, logger });
  const webhooks = new Webhooks({
    database,
    connections,
    upstream,
    schemas: baseSchemas,
    cipher,
    log: changeLog,
    feeds: changeFeeds,
    doubts,
    addresses: {
      publicUrl: config.publicUrl,
      publicUrlIsChosen: config.publicUrlIsChosen,
      apiUrl: config.upstream.apiUrl,
    },
    retentionDays: config.changesRetentionDays,
    idleDays: config.webhookIdleDays,
    forAll: works,
    clock,
    logger,
    onForged: (connectionId) => activity.count(connectionId, 'macFailures'),
    onAppended: (entries) => metrics.changesAppended(entries, clock.now()),
  });
  const refusal = (connectionId: number, baseId: string) => webhooks.refusal(connectionId, baseId);
  const connectionWatch = new ConnectionWatch({
    database,
    notifications,
    doubts,
    refusal,
    clock,
    logger,
  });
  const ensureFeed = async (connectionId: number, baseId: string, operation: Operation) =>
    (await webhooks.ensure(connectionId, baseId, operation)).feed;
  const services = { connections, upstream, recordReads, recordCopies, recordWrites, clock };
  const triggers = new Triggers({
    database,
    cipher,
    log: changeLog,
    feeds: changeFeeds,
    ensureFeed,
    refusal,
    rules: config.endpoints,
    services,
    schemas: baseSchemas,
    delivers: works,
    audit: audit.record,
    clock,
    logger,
    alertAfter: endpointFailing,
    onFailing: ({ triggerId, connectionId }, failing) =>
      activity.raise({
        ...failing,
        connectionId,
        subject: triggerId,
        kind: 'ENDPOINT_FAILING',
        threshold: endpointFailing.count,
      }),
    onQueued: (count) => metrics.deliveriesQueued(count),
    onAttempt: (outcome, durationMs) => metrics.deliveryAttempt(outcome, durationMs),
  });
  const syncs = new Syncs({
    database,
    upstream,
    schemas: baseSchemas,
    log: changeLog,
    feeds: changeFeeds,
    ensureFeed,
    refusal,
    notifications,
    services,
    drainedAt: (feedId) => webhooks.askedDrains.drainedAt(feedId),
    drainNow: (feedId) => webhooks.askedDrains.drainNow(feedId),
    drainProblem: (feedId) => webhooks.askedDrains.drainProblem(feedId),
    reconcileHours: config.syncReconcileHours,
    works,
    audit: audit.record,
    clock,
    logger,
  });
  const grants = new GrantEnding({
    database,
    secrets,
    oauth,
    releaseWebhooks: (connectionId) => webhooks.releaseConnection(connectionId),
    logger,
  });
  const lifecycle = new ConnectionLifecycle({
    database,
    connections,
    secrets,
    grants,
    leaveWebhooks: leaveConnection,
    logger,
  });
  const managed = new ManagedConnections({
    database,
    connections,
    secrets,
    lifecycle,
    recordAudit: audit.record,
    logger,
  });
  try {
    await managed.apply(connectionsFile);
    await bringBackReadable({
      database,
      secrets,
      audit: audit.record,
      logger,
      onBack: (connectionId) => webhooks.connectionReady(connectionId),
    });
  } catch (error) {
    rateLimit.close();
    await transport.close();
    await activity.close();
    await database.destroy();
    throw error;
  }
  const auditRetention = new AuditRetention({ audit, retentionDays: config.auditRetentionDays, logger });
  if (works) auditRetention.start();
  changeFeeds.start();
  notifications.start();
  webhooks.start();
  triggers.start();
  syncs.start();
  recordWrites.start();
  if (works) tokenUpkeep.start();

  const parts = {
    ...{ triggers, syncs, webhooks, auditRetention },
    ...{ recordWrites, tokenUpkeep, tokens, connectionWatch, connectionChanges, callerWatch },
    ...{ changeFeeds, notifications, rateLimit, transport, activity, metrics, database },
  };
  return {
    config,
    logger,
    clock,
    database,
    metrics,
    audit,
    auditEntries: new AuditEntries(database),
    activity,
    alerts,
    keys,
    authentication,
    callerWatch,
    explorerCodes,
    operationsInFlight: new OperationsInFlight(),
    connections,
    connectionChanges,
    lifecycle,
    flows,
    tokens,
    upstream,
    baseSchemas,
    recordReads,
    recordCopies,
    recordWrites,
    changeLog,
    logStandings,
    subscriptionStarts: new SubscriptionStarts({ clock }),
    changeFeeds,
    connectionWatch,
    webhooks,
    triggers,
    syncs,
    ...endOf(parts, logger),
  };
}
