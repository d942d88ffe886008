import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import type { ClaimedDelivery, Outcome, Stored } from './delivery-leases.ts';
import type { FailingEndpoints } from './failing-endpoints.ts';
import type { Failing, TriggerHealth } from './trigger-health.ts';

export interface OutcomeEffectsDeps {
  health: TriggerHealth;
  clock: Clock;
  logger: Logger;
  endpoints: FailingEndpoints;
  onAttempt: (outcome: 'delivered' | 'failed' | 'parked', durationMs: number) => void;
}

/**
 * What follows from outcomes that are stored: endpoints that are back get what waits, and those that keep failing or want
 * no more are paused. None of it may make a delivery again, so nothing here rejects. All of it stands in rows: what does
 * not come to its end, or is never begun since the process died, follows from the next tick or the next failure.
 */
export class OutcomeEffects {
  readonly #deps: OutcomeEffectsDeps;

  constructor(deps: OutcomeEffectsDeps) {
    this.#deps = deps;
  }

  async follow(
    outcomes: ReadonlyMap<ClaimedDelivery, Outcome>,
    { deliveries, failing, hasRecovered }: Stored,
  ): Promise<void> {
    const failed = new Map<string, { delivery: ClaimedDelivery; isGone: boolean }>();
    for (const delivery of deliveries) {
      const outcome = outcomes.get(delivery)!;
      this.#deps.onAttempt(metricOf(outcome), outcome.durationMs);
      if (outcome.error === null || delivery.action) continue;
      // What was sent before an edit says nothing of what has been so since.
      const sentTo = `${delivery.triggerId} ${delivery.asOf.getTime()}`;
      const isGone = outcome.httpStatus === 410 || failed.get(sentTo)?.isGone === true;
      failed.set(sentTo, { delivery, isGone });
    }
    if (hasRecovered) await this.hurry();
    await Promise.all(
      [...failed.values()].map(({ delivery, isGone }) =>
        this.#judge(delivery, failing.get(delivery.triggerId)!, isGone),
      ),
    );
  }

  /** Has all that waits for endpoints that are back tried now. */
  async hurry(): Promise<void> {
    const { health, clock, logger } = this.#deps;
    try {
      await health.hurry(new Date(clock.now()));
    } catch (error) {
      logger.warn(
        { err: error },
        'what waits for endpoints that are back could not be hurried; it will be tried again',
      );
    }
  }

  async #judge(delivery: ClaimedDelivery, failing: Failing, isGone: boolean): Promise<void> {
    const { logger, endpoints } = this.#deps;
    try {
      if (isGone) await endpoints.isGone(delivery);
      else await endpoints.hasFailed(delivery, failing);
    } catch (error) {
      logger.warn(
        { err: error, trigger: delivery.triggerId },
        'an endpoint that fails was not judged; its next failure will be',
      );
    }
  }
}

function metricOf({ status }: Outcome): 'delivered' | 'failed' | 'parked' {
  if (status === 'DELIVERED') return 'delivered';
  return status === 'PARKED' ? 'parked' : 'failed';
}
