import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import type { Settings } from '../control/settings.ts';
import type { Collection } from '../state/collection.ts';
import { PingDelivery, type DeliveryOutcome } from './ping-delivery.ts';
import { PingDisturbance } from './ping-disturbance.ts';
import type { WebhookDoc } from './webhook.ts';

/*
 * The ping of one webhook:
 *
 *   quiet    → due       a payload was written; held back for a moment, so that several payloads share one ping
 *   due      → sending   the time has come, by the sandbox's clock
 *   sending  → quiet     200 or 204; due again at once if payloads were written meanwhile
 *   sending  → due       failed: the n-th retry waits retryBaseMs × 2^(n-1)
 *   sending  → off       the last retry failed: notifications are disabled until the owner enables them
 *
 * At most one ping of a webhook is on its way. While one is due, further payloads change nothing. `due` is stored, so a
 * restart goes on with it; a ping that was on its way then is sent again.
 */

/** Timers do not reach further than some 24 days, and the clock may be moved meanwhile. */
const MAX_TIMER_MS = 3_600_000;

interface Progress {
  timer?: NodeJS.Timeout;
  sending: boolean;
  /** Payloads came while sending. */
  again: boolean;
}

/** Tells receivers that there is something to fetch. */
export class Pings {
  readonly disturbance = new PingDisturbance();
  readonly #delivery = new PingDelivery();
  readonly #progress = new Map<string, Progress>();
  readonly #underway = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  constructor(
    private readonly webhooks: Collection<WebhookDoc>,
    private readonly clock: Clock,
    private readonly settings: Settings,
  ) {}

  /** Makes a ping due, unless one is or the owner wants none. */
  notify(webhookId: string): void {
    const webhook = this.webhooks.get(webhookId);
    if (!webhook?.areNotificationsEnabled || webhook.notificationUrl === null) return;
    const progress = this.#progressOf(webhookId);
    if (progress.sending) progress.again = true;
    else if (!webhook.duePing) {
      this.webhooks.put(webhookId, { ...webhook, duePing: { retryNumber: 0, dueAt: this.clock.now() } });
      this.#arm(webhookId, this.settings.limits.pingCoalesceMs);
    }
  }

  /** Looks at every due ping again: after a start, or when the clock was moved. */
  review(): void {
    for (const webhook of this.webhooks.values()) {
      if (webhook.duePing && !this.#progress.get(webhook.id)?.sending) this.#arm(webhook.id, 0);
    }
  }

  /** Stops the timer of a webhook that is gone; a ping on its way may still arrive. */
  forget(webhookId: string): void {
    clearTimeout(this.#progress.get(webhookId)?.timer);
    this.#progress.delete(webhookId);
  }

  reset(): void {
    for (const webhookId of [...this.#progress.keys()]) this.forget(webhookId);
    this.disturbance.reset();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const webhookId of [...this.#progress.keys()]) this.forget(webhookId);
    await this.#delivery.close();
    await Promise.allSettled(this.#underway);
  }

  #arm(webhookId: string, realDelayMs: number): void {
    const progress = this.#progressOf(webhookId);
    clearTimeout(progress.timer);
    progress.timer = setTimeout(() => this.#fire(webhookId), Math.min(realDelayMs, MAX_TIMER_MS));
    progress.timer.unref();
  }

  #fire(webhookId: string): void {
    const webhook = this.webhooks.get(webhookId);
    if (!webhook?.duePing || this.#closing.signal.aborted) return;
    const waitMs = webhook.duePing.dueAt - this.clock.now();
    if (waitMs > 0) this.#arm(webhookId, waitMs);
    else this.#track(this.#ping(webhook, webhook.duePing.retryNumber));
  }

  async #ping(webhook: WebhookDoc, retryNumber: number): Promise<void> {
    const url = webhook.notificationUrl;
    if (url === null || !webhook.areNotificationsEnabled || this.clock.now() >= webhook.expiresAt) {
      this.webhooks.put(webhook.id, { ...webhook, duePing: null });
      return;
    }
    const progress = this.#progressOf(webhook.id);
    progress.sending = true;
    progress.again = false;
    const outcome = await this.#deliver(webhook, url);
    progress.sending = false;
    const present = this.webhooks.get(webhook.id);
    // Closing leaves the ping due, for the next start.
    if (!outcome || !present || this.#progress.get(webhook.id) !== progress) return;
    this.webhooks.put(webhook.id, this.#settled(present, outcome, retryNumber));
    if (outcome.error === null && progress.again) this.notify(webhook.id);
    else if (outcome.error !== null) this.#fire(webhook.id);
  }

  #settled(webhook: WebhookDoc, { error, durationMs }: DeliveryOutcome, retryNumber: number): WebhookDoc {
    const { retryCount, retryBaseMs } = this.settings.limits;
    const completionTimestamp = this.clock.iso();
    if (error === null) {
      const lastNotificationResult = { success: true, completionTimestamp, durationMs, retryNumber } as const;
      return {
        ...webhook,
        lastSuccessfulNotificationTime: completionTimestamp,
        lastNotificationResult,
        duePing: null,
      };
    }
    const willBeRetried = webhook.areNotificationsEnabled && retryNumber < retryCount;
    return {
      ...webhook,
      areNotificationsEnabled: willBeRetried,
      duePing: willBeRetried
        ? { retryNumber: retryNumber + 1, dueAt: this.clock.now() + retryBaseMs * 2 ** retryNumber }
        : null,
      lastNotificationResult: {
        success: false,
        error: { message: error },
        completionTimestamp,
        durationMs,
        retryNumber,
        willBeRetried,
      },
    };
  }

  /** Null if the sandbox closed meanwhile. A lost ping counts as one that arrived; repeated ones do not count at all. */
  async #deliver(webhook: WebhookDoc, url: string): Promise<DeliveryOutcome | null> {
    const { repeat } = this.disturbance.present();
    if (this.disturbance.takeDrop()) return { error: null, durationMs: 0 };
    const timestamp = this.clock.iso();
    for (let copy = 0; copy < repeat; copy += 1) {
      this.#track(this.#sendLater(webhook, url, timestamp).then(() => undefined));
    }
    return this.#sendLater(webhook, url, timestamp);
  }

  async #sendLater(webhook: WebhookDoc, url: string, timestamp: string): Promise<DeliveryOutcome | null> {
    const delayMs = this.disturbance.nextDelayMs();
    const { signal } = this.#closing;
    if (delayMs > 0) await delay(delayMs, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return null;
    const outcome = await this.#delivery.send(webhook, url, timestamp, this.settings.limits.pingTimeoutMs);
    return signal.aborted ? null : outcome;
  }

  #track(work: Promise<void>): void {
    this.#underway.add(work);
    void work.finally(() => this.#underway.delete(work));
  }

  #progressOf(webhookId: string): Progress {
    let progress = this.#progress.get(webhookId);
    if (!progress) {
      progress = { sending: false, again: false };
      this.#progress.set(webhookId, progress);
    }
    return progress;
  }
}
