import type { Webhook } from './webhook.ts';

/** Worst first. */
export type WebhookFault =
  | 'gone'
  | 'connection_away'
  | 'pulls_failing'
  | 'expiring'
  | 'notifications_failing'
  | 'secret_unreadable'
  | 'url_outdated'
  | 'narrow'
  | 'replacement_blocked';

/** A lease is renewed when half of its seven days are over; one this short, in milliseconds, was not. */
const expiringMs = 2 * 86_400_000;

/** What is known to be wrong with a webhook, worst first, without asking the upstream. */
export function faultsOf(webhook: Webhook, nowMs: number): WebhookFault[] {
  const { state, connectionState, drainFailures, expiresAt, notificationUrl, notificationResult } = webhook;
  if (state === 'lost') return ['gone'];
  const faults: (WebhookFault | null | false)[] = [
    connectionState !== 'connected' && 'connection_away',
    drainFailures > 0 && 'pulls_failing',
    expiresAt !== null && expiresAt.getTime() - nowMs < expiringMs && 'expiring',
    notificationUrl !== null && notificationResult?.success === false && 'notifications_failing',
    webhook.replacementReason,
    webhook.replacementProblem !== null && 'replacement_blocked',
  ];
  return faults.filter((fault) => typeof fault === 'string');
}

export function healthOf(faults: readonly WebhookFault[]): 'healthy' | 'degraded' | 'broken' {
  if (faults.includes('gone') || faults.includes('connection_away')) return 'broken';
  return faults.length > 0 ? 'degraded' : 'healthy';
}

/** Bounded, since it is shown as a GraphQL integer. */
export function lagMsOf(behindSince: Date | null, nowMs: number): number {
  return behindSince === null ? 0 : Math.min(Math.max(0, nowMs - behindSince.getTime()), 2 ** 31 - 1);
}
