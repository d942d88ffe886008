import type { Clock } from '../../clock.ts';
import type { ClaimedDelivery } from './delivery-leases.ts';
import { pausedAfterMs } from './retry-schedule.ts';
import type { StoredTriggers } from './stored-triggers.ts';
import type { Failing } from './trigger-health.ts';
import type { OnTriggerMoved, PauseReason } from './trigger.ts';

export interface FailingEndpointsDeps {
  stored: StoredTriggers;
  clock: Clock;
  /** From how many failures in a row on, over so many minutes at least, `onFailing` is told. */
  alertAfter: { count: number; windowMinutes: number };
  /** Told of an endpoint that keeps failing, as long as it does. */
  onFailing: (
    trigger: { triggerId: string; connectionId: number },
    failing: { count: number; since: Date; until: Date },
  ) => Promise<void>;
  onMoved: OnTriggerMoved;
}

/** Judges endpoints by deliveries that failed: has people told of those that keep failing, and pauses their triggers in the end. */
export class FailingEndpoints {
  readonly #deps: FailingEndpointsDeps;

  constructor(deps: FailingEndpointsDeps) {
    this.#deps = deps;
  }

  /** One that wants no more. */
  async isGone(delivery: ClaimedDelivery): Promise<void> {
    await this.#pause(delivery, 'ENDPOINT_GONE', 'The endpoint answered 410: it wants no more deliveries.');
  }

  /** @param failing how long that has gone on, this failure included */
  async hasFailed(delivery: ClaimedDelivery, { failuresInRow, failingSince }: Failing): Promise<void> {
    const { triggerId, connectionId } = delivery;
    const { clock, alertAfter, onFailing } = this.#deps;
    const until = new Date(clock.now());
    const since = failingSince ?? until;
    const ms = until.getTime() - since.getTime();
    if (failuresInRow < alertAfter.count || ms < alertAfter.windowMinutes * 60_000) return;
    await onFailing({ triggerId, connectionId }, { count: failuresInRow, since, until });
    if (ms < pausedAfterMs) return;
    const problem = `The endpoint has taken nothing since ${since.toISOString()}. Mend it, then use "resumeTrigger".`;
    await this.#pause(delivery, 'ENDPOINT_FAILING', problem);
  }

  /** Not one that was edited or resumed since the delivery left: that may have mended it. */
  async #pause(
    { triggerId, connectionId, asOf }: ClaimedDelivery,
    because: PauseReason,
    problem: string,
  ): Promise<void> {
    if (await this.#deps.stored.pause(triggerId, because, problem, asOf))
      this.#deps.onMoved(triggerId, connectionId, 'pauseTrigger', because);
  }
}
