import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import type { ClaimedDelivery, Outcome, Stored } from './delivery-leases.ts';
import type { Failing, TriggerHealth } from './trigger-health.ts';

export interface OutcomeEffectsDeps {
  health: TriggerHealth;
  clock: Clock;
  logger: Logger;
  /** Told of an endpoint that wants no more. */
  onGone: (triggerId: string) => Promise<void>;
  /** Told of failures of an endpoint with how long that has gone on. */
  onFailure: (delivery: ClaimedDelivery, failing: Failing) => Promise<void>;
  onAttempt: (outcome: 'delivered' | 'failed' | 'parked', durationMs: number) => void;
}

interface Failure {
  delivery: ClaimedDelivery;
  outcome: Outcome;
}

/**
 * What follows from outcomes that are stored: failures are counted, endpoints that want no more are paused, and those that
 * are back get what waits. None of it may make a delivery again, so nothing here rejects.
 */
export class OutcomeEffects {
  readonly #deps: OutcomeEffectsDeps;
  /** Triggers whose endpoints are back, and that were not told to hurry yet. At most as many as there are triggers. */
  readonly #recovered = new Set<string>();

  constructor(deps: OutcomeEffectsDeps) {
    this.#deps = deps;
  }

  async follow(
    outcomes: ReadonlyMap<ClaimedDelivery, Outcome>,
    { deliveries, recovered }: Stored,
  ): Promise<void> {
    const failures = new Map<string, Failure[]>();
    for (const delivery of deliveries) {
      const outcome = outcomes.get(delivery)!;
      this.#deps.onAttempt(metricOf(outcome), outcome.durationMs);
      // How an action does is for the limits of the upstream to heed.
      if (outcome.error === null || delivery.action) continue;
      failures.set(delivery.triggerId, [...(failures.get(delivery.triggerId) ?? []), { delivery, outcome }]);
    }
    for (const id of recovered) this.#recovered.add(id);
    await this.hurry();
    await Promise.all([...failures.values()].map((all) => this.#judge(all)));
  }

  /** Has all that waits for endpoints that are back tried now; what fails of it is left for the next call. */
  async hurry(): Promise<void> {
    const now = new Date(this.#deps.clock.now());
    for (const id of this.#recovered) {
      try {
        await this.#deps.health.hurry(id, now);
        this.#recovered.delete(id);
      } catch (error) {
        this.#deps.logger.warn(
          { err: error, trigger: id },
          'what waits for an endpoint that is back could not be hurried; it will be tried again',
        );
      }
    }
  }

  /** @param failures of one endpoint, that came together */
  async #judge(failures: Failure[]): Promise<void> {
    const { health, clock, logger, onGone, onFailure } = this.#deps;
    const { delivery } = failures[0]!;
    try {
      const failing = await health.failed(delivery.triggerId, failures.length, new Date(clock.now()));
      if (failures.some(({ outcome }) => outcome.httpStatus === 410)) await onGone(delivery.triggerId);
      else await onFailure(delivery, failing);
    } catch (error) {
      logger.warn({ err: error, trigger: delivery.triggerId }, 'failures of an endpoint were not counted');
    }
  }
}

function metricOf({ status }: Outcome): 'delivered' | 'failed' | 'parked' {
  if (status === 'DELIVERED') return 'delivered';
  return status === 'PARKED' ? 'parked' : 'failed';
}
