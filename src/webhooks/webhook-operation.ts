import { CallMeter, type Operation } from '../calendly/operation.ts';
import type { Clock } from '../clock.ts';

/** Longest that one piece of work on a webhook may take, waits for the rate limit included, in milliseconds. */
export const webhookDeadlineMs = 60_000;

/**
 * Upstream calls for a webhook that no request of a caller makes.
 * @param priority `drain` for those that nobody waits for, and without which the change log would stand still
 */
export function webhookOperation(
  clock: Clock,
  signal: AbortSignal,
  priority: Operation['priority'] = 'drain',
): Operation {
  return {
    callerId: 'webhooks',
    priority,
    deadline: clock.now() + webhookDeadlineMs,
    signal,
    meter: new CallMeter(),
  };
}
