import type { Specification } from './specification.ts';

/** How the last try to tell the receiver went; null before the first one. */
export type NotificationResult =
  | { success: true; completionTimestamp: string; durationMs: number; retryNumber: number }
  | {
      success: false;
      error: { message: string };
      completionTimestamp: string;
      durationMs: number;
      retryNumber: number;
      willBeRetried: boolean;
    };

/** A ping that still has to get through. */
export interface DuePing {
  /** 0 is the first try. */
  retryNumber: number;
  /** ms by the sandbox's clock. */
  dueAt: number;
}

export interface WebhookDoc {
  id: string;
  baseId: string;
  clientId: string;
  userId: string;
  notificationUrl: string | null;
  specification: Specification;
  macSecretBase64: string;
  /** ms */
  expiresAt: number;
  /** False after a watched table, view or field went; never true again. */
  isIntact: boolean;
  areNotificationsEnabled: boolean;
  lastSuccessfulNotificationTime: string | null;
  lastNotificationResult: NotificationResult | null;
  /** Number of the next payload. */
  nextPayload: number;
  duePing: DuePing | null;
}

/** A webhook as its owner sees it: without the secret, which was told once. */
export function showWebhook(webhook: WebhookDoc, now: number): Record<string, unknown> {
  return {
    id: webhook.id,
    areNotificationsEnabled: webhook.areNotificationsEnabled,
    cursorForNextPayload: webhook.nextPayload,
    isHookEnabled: isActive(webhook, now),
    lastSuccessfulNotificationTime: webhook.lastSuccessfulNotificationTime,
    notificationUrl: webhook.notificationUrl,
    expirationTime: new Date(webhook.expiresAt).toISOString(),
    lastNotificationResult: webhook.lastNotificationResult,
    specification: webhook.specification,
  };
}

/** An active webhook makes payloads, and its life can be extended. */
export function isActive(webhook: WebhookDoc, now: number): boolean {
  return webhook.isIntact && now < webhook.expiresAt;
}
