import { CallMeter, type Operation } from '../calendly/operation.ts';
import type { Clock } from '../clock.ts';

/** Longest that one piece of work on a webhook may take, waits for the rate limit included, in milliseconds. */
export const backgroundDeadlineMs = 60_000;

/** Upstream calls that nobody waits for, and without which the change log would stand still. */
export function backgroundOperation(clock: Clock, signal: AbortSignal): Operation {
  return {
    callerId: 'webhooks',
    priority: 'drain',
    deadline: clock.now() + backgroundDeadlineMs,
    signal,
    meter: new CallMeter(),
  };
}
