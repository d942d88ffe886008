import type { DataSource } from 'typeorm';
import type { WireWebhook } from '../calendly/wire.ts';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { Drains } from './drain.ts';
import type { Owners } from './owners.ts';
import type { PlannedReplacement } from './planned-replacement.ts';
import type { ReplacementReasons } from './replacement-reasons.ts';
import { endSuccessor, findWebhook, type NotificationResult, type Webhook } from './webhook.ts';
import type { WebhookCreation } from './webhook-creation.ts';
import { webhookOperation } from './webhook-operation.ts';

/** When a replacement is looked at again that was begun and did not get to its end. */
const unfinishedSeconds = 10;

export interface CheckDeps {
  database: DataSource;
  owners: Owners;
  drains: Drains;
  creation: WebhookCreation;
  replacement: PlannedReplacement;
  reasons: ReplacementReasons;
  clock: Clock;
  logger: Logger;
}

/**
 * Compares a webhook with what the upstream says of it. A living one gets its lease renewed and its pings switched on
 * again, and is replaced without a gap when it is no longer of use as it is. A dead one (deleted, expired, switched off) is
 * drained to its end, given up as `lost`, and replaced. So is one whose base no connection may read any more, as soon as
 * there is one that may. What happened between the two is told in the log when the new one lives.
 */
export class WebhookChecks {
  readonly #deps: CheckDeps;
  /** Webhooks that were behind at their last check here: where they stood, and what the upstream had written. */
  readonly #behind = new Map<string, { nextPayload: number; written: number }>();

  constructor(deps: CheckDeps) {
    this.#deps = deps;
  }

  async check(webhookId: string, signal: AbortSignal): Promise<void> {
    const { database, owners, drains, replacement, reasons, clock } = this.#deps;
    const webhook = await findWebhook(database, webhookId);
    if (webhook?.state !== 'active' || webhook.upstreamId === null)
      return void this.#behind.delete(webhookId);
    const [now] = await database.query<{ now: Date }[]>('SELECT clock_timestamp() AS now');
    const reached = await owners.reach(webhook, webhookOperation(clock, signal));
    if (reached === 'away') return;
    if (reached === 'refused')
      return this.#lose(webhook, 'No connection may read its base any more.', signal);
    const { api, webhooks } = reached;
    const found = webhooks.find(({ id }) => id === webhook.upstreamId);
    if (!found) {
      if (await replacement.rescue(webhook.id, api)) return;
      return this.#lose(webhook, 'It is gone upstream.', signal);
    }
    if (!found.isHookEnabled) {
      // It writes no more: what it does not hand out now is gone.
      await drains.drain(webhook.id, found.cursorForNextPayload);
      // A drain may fail, or be under way elsewhere. What it leaves would go with the webhook: a later check goes on.
      const drained = await findWebhook(database, webhook.id);
      if (!drained || drained.nextPayload < found.cursorForNextPayload) return;
      if (await replacement.rescue(webhook.id, api)) return;
      await api.deleteWebhook(webhook.baseId, webhook.upstreamId).catch(() => undefined);
      return this.#lose(webhook, 'It expired or was switched off upstream.', signal);
    }
    let expiresAt = found.expirationTime ?? null;
    const refreshed = await this.#isRefreshDue(webhook.id);
    if (refreshed) expiresAt = (await api.refreshWebhook(webhook.baseId, webhook.upstreamId)).expirationTime;
    const reason = await reasons.of(webhook, reached.connection);
    if (webhook.notificationUrl !== null && !found.areNotificationsEnabled && reason !== 'url_outdated') {
      await api.enableNotifications(webhook.baseId, webhook.upstreamId, true);
    }
    await database.query(
      `UPDATE webhooks SET checked_at = $2, check_lease_until = CASE WHEN $7::text IS NOT NULL THEN clock_timestamp() + make_interval(secs => $8) END, expires_at = $3, notification_result = $4,
              refreshed_at = CASE WHEN $5 THEN $2 ELSE refreshed_at END,
              behind_since = CASE WHEN next_payload < $6 THEN coalesce(behind_since, clock_timestamp()) ELSE behind_since END,
              replacement_reason = $7, replacement_problem = CASE WHEN $7::text IS NOT NULL THEN replacement_problem END
       WHERE id = $1 AND state = 'active'`,
      [
        webhook.id,
        now?.now,
        expiresAt,
        JSON.stringify(notificationResult(found)),
        refreshed,
        found.cursorForNextPayload,
        reason,
        unfinishedSeconds,
      ],
    );
    if (reason !== null) return replacement.advance(webhook, reason, reached);
    this.#catchUp(webhook, found.cursorForNextPayload);
  }

  /**
   * Pulls what the upstream has written and we have not. A drain since the last check that got nothing of it, although it
   * was told then, shows that it is gone.
   */
  #catchUp({ id, nextPayload }: Webhook, written: number): void {
    const before = this.#behind.get(id);
    this.#behind.delete(id);
    if (written <= nextPayload) return;
    const isStuck = before?.nextPayload === nextPayload;
    if (!isStuck) this.#behind.set(id, { nextPayload, written });
    this.#deps.drains.kick(id, isStuck ? before.written : 0);
  }

  /** Makes the webhook that takes the place of a lost one, through any connection that can. */
  async replace(webhookId: string, signal: AbortSignal): Promise<void> {
    const { database, owners, creation, clock, logger } = this.#deps;
    const lost = await findWebhook(database, webhookId);
    if (lost?.state !== 'lost') return;
    const operation = webhookOperation(clock, signal);
    const reached = await owners.reach(lost, operation);
    if (typeof reached === 'string') return;
    const webhook = await creation.create(reached.connection, lost.baseId, operation);
    logger.info({ lost: lost.id, webhook: webhook.id, baseId: lost.baseId }, 'webhook replaced');
  }

  /** Deletes upstream what is done with here, until that is confirmed, or can't be asked for any more. */
  async end(webhookId: string, signal: AbortSignal): Promise<void> {
    const { database, owners, clock, logger } = this.#deps;
    const webhook = await findWebhook(database, webhookId);
    if (webhook?.state !== 'ending') return;
    const reached = await owners.reach(webhook, webhookOperation(clock, signal));
    const isOver = webhook.expiresAt !== null && webhook.expiresAt.getTime() < clock.now();
    if (reached === 'away' && !isOver) return;
    const held =
      typeof reached === 'string' ? undefined : reached.webhooks.find(({ id }) => id === webhook.upstreamId);
    if (typeof reached !== 'string' && held) await reached.api.deleteWebhook(webhook.baseId, held.id);
    await database.query(`UPDATE webhooks SET state = 'deleted' WHERE id = $1 AND state = 'ending'`, [
      webhook.id,
    ]);
    logger.info({ webhook: webhook.id, baseId: webhook.baseId }, 'webhook deleted');
  }

  /** What was to take its place is given up with it: nobody knows what lies between the two. */
  async #lose(webhook: Webhook, problem: string, signal: AbortSignal): Promise<void> {
    this.#deps.logger.warn({ webhook: webhook.id, baseId: webhook.baseId, problem }, 'webhook lost');
    await endSuccessor(this.#deps.database, webhook.feedId);
    await this.#deps.database.query(
      `UPDATE webhooks SET state = 'lost', problem = $2, ended_at = clock_timestamp(), check_lease_until = clock_timestamp() + interval '30 s'
       WHERE id = $1 AND state = 'active'`,
      [webhook.id, problem],
    );
    await this.replace(webhook.id, signal);
  }

  /** After half of its life, or half of the seven days that the upstream gives at most. */
  async #isRefreshDue(webhookId: string): Promise<boolean> {
    const [row] = await this.#deps.database.query<{ due: boolean }[]>(
      `SELECT refreshed_at + least((expires_at - refreshed_at) / 2, interval '84 hours') < clock_timestamp() AS due FROM webhooks WHERE id = $1`,
      [webhookId],
    );
    return row?.due ?? true;
  }
}

function notificationResult({ lastNotificationResult: result }: WireWebhook): NotificationResult | null {
  if (!result) return null;
  const error =
    typeof result.error === 'object' && result.error !== null
      ? (result.error as Record<string, unknown>)
      : {};
  return {
    success: result.success === true,
    message: typeof error.message === 'string' ? error.message.slice(0, 500) : null,
    retryNumber: typeof result.retryNumber === 'number' ? result.retryNumber : null,
    willBeRetried: typeof result.willBeRetried === 'boolean' ? result.willBeRetried : null,
    completedAt: typeof result.completionTimestamp === 'string' ? result.completionTimestamp : null,
  };
}
