import type { CallerWatch } from './access/caller-watch.ts';
import type { App } from './app.ts';
import type { AuditRetention } from './audit/audit-retention.ts';
import type { RateLimiter } from './calendly/rate-limit.ts';
import type { Transport } from './calendly/transport.ts';
import { endInOrder, endTogether } from './closing.ts';
import type { TokenUpkeep } from './connections/token-upkeep.ts';
import type { Notifications } from './database/notifications.ts';
import type { Logger } from './logger.ts';

/**
 * What runs by itself has so long to end, in milliseconds: deliveries under way, writes that have left, deletions in batches.
 * All of it is stored, so that what is left to itself is found by whoever comes next.
 */
const backgroundGraceMs = 6_000;

/** What has to end: services that all see, and those that only the app itself knows. */
interface Parts extends Pick<
  App,
  | 'triggers'
  | 'syncs'
  | 'webhooks'
  | 'recordWrites'
  | 'tokens'
  | 'connectionWatch'
  | 'connectionChanges'
  | 'changeFeeds'
  | 'activity'
  | 'metrics'
  | 'database'
> {
  auditRetention: AuditRetention;
  tokenUpkeep: TokenUpkeep;
  callerWatch: CallerWatch;
  notifications: Notifications;
  rateLimit: RateLimiter;
  transport: Transport;
}

/**
 * How an app ends: first what runs by itself, which may go on while requests are in flight, then what those need, and the
 * database last. Nothing is closed that something open still needs.
 */
export function endOf(parts: Parts, logger: Logger): Pick<App, 'isClosing' | 'endBackground' | 'close'> {
  let closing = false;
  let backgroundEnded: Promise<void> | null = null;

  const endBackground = (): Promise<void> => {
    const ends = {
      triggers: () => parts.triggers.close(),
      syncs: () => parts.syncs.close(),
      // Beside them: they wait for what it pulls and checks.
      webhooks: () => parts.webhooks.close(),
      'audit log': () => parts.auditRetention.close(),
    };
    return (backgroundEnded ??= endTogether(ends, backgroundGraceMs, logger));
  };

  return {
    isClosing: () => closing,
    endBackground,
    async close() {
      closing = true;
      parts.recordWrites.close();
      // Begins no more refreshes; the answer to one under way is the only copy of a grant.
      const refreshed = Promise.all([parts.tokenUpkeep.close(), parts.tokens.close()]);
      refreshed.catch(() => undefined);
      await endBackground();
      parts.connectionWatch.close();
      parts.connectionChanges.close();
      parts.callerWatch.close();
      const ends = {
        'change feeds': () => parts.changeFeeds.close(),
        notifications: () => parts.notifications.close(),
        'rate limit': () => parts.rateLimit.close(),
        upstream: () => parts.transport.close(),
        refreshes: () => refreshed,
        activity: () => parts.activity.close(),
        metrics: () => parts.metrics.close(),
        database: () => parts.database.destroy(),
      };
      await endInOrder(ends, logger);
    },
  };
}
