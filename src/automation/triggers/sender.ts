import { setMaxListeners } from 'node:events';
import type { DataSource } from 'typeorm';
import type { DeliveryAttempts } from './delivery-attempts.ts';
import { DeliveryLanes } from './delivery-lanes.ts';
import { DeliveryLeases, type ClaimedDelivery, type Outcome, type Stored } from './delivery-leases.ts';
import { DeliveryTargets } from './delivery-targets.ts';
import { OutcomeEffects, type OutcomeEffectsDeps } from './outcome-effects.ts';

const renewIntervalMs = 4_000;
/** How long a stop waits for deliveries under way, in milliseconds; the rest is made again elsewhere. */
const stopGraceMs = 3_000;

export interface SenderDeps extends OutcomeEffectsDeps {
  database: DataSource;
  attempts: DeliveryAttempts;
}

interface Ended {
  delivery: ClaimedDelivery;
  /** Null for one that was not made after all. */
  outcome: Outcome | null;
}

/**
 * Makes deliveries, wherever they were queued. Each is taken by a lease, sent, and stored with what came of it; a process
 * that dies in between leaves a lease that runs out, and the delivery is made again with the same event id. What is told
 * at most twice is never told out of order: see DeliveryLeases.
 *
 * Attempts run beside each other; storing and taking happen in rounds, one after the other. A round stores all that has
 * ended since the last one by one statement, and takes for all triggers that may have something by another. So a quiet
 * trigger waits for nobody, and the busier it gets the more deliveries share a round.
 */
export class Sender {
  readonly #deps: SenderDeps;
  readonly #leases: DeliveryLeases;
  readonly #effects: OutcomeEffects;
  readonly #targets: DeliveryTargets;
  readonly #lanes = new DeliveryLanes<ClaimedDelivery>();
  readonly #making = new Set<Promise<void>>();
  /** What was taken and has not ended: its leases are renewed. */
  readonly #held = new Set<ClaimedDelivery>();
  readonly #closing = new AbortController();
  /** Triggers that may have something to deliver. */
  readonly #wanted = new Set<string>();
  /** Whether it is not known which triggers have. */
  #lookAtAll = false;
  #ended: Ended[] = [];
  #renewal: NodeJS.Timeout | undefined;
  #rounds: Promise<void> | null = null;
  #isStopped = false;

  constructor(deps: SenderDeps) {
    // Every delivery listens to it; Node takes more than ten for a leak.
    setMaxListeners(0, this.#closing.signal);
    this.#deps = deps;
    this.#leases = new DeliveryLeases(deps.database);
    this.#effects = new OutcomeEffects(deps);
    this.#targets = new DeliveryTargets(deps.database);
  }

  start(): void {
    this.#renewal = setInterval(() => {
      this.#lanes.forgetIdle();
      void this.#leases
        .renew(this.#held)
        .catch((error: unknown) => this.#deps.logger.debug({ err: error }, 'leases could not be renewed'));
    }, renewIntervalMs);
  }

  /** Takes what is due, of one trigger or of all. Calls while that is under way have it look once more. */
  look(triggerId?: string): void {
    if (this.#isStopped) return;
    if (triggerId !== undefined) this.#wanted.add(triggerId);
    else {
      this.#lookAtAll = true;
      this.#giveUp(this.#lanes.abandonSlow());
    }
    this.#go();
  }

  async close(): Promise<void> {
    const grace = setTimeout(() => this.#closing.abort(), stopGraceMs);
    this.#isStopped = true;
    // One that is taking would begin what it has taken.
    await this.#rounds;
    this.#giveUp(this.#lanes.abandonAll());
    await Promise.all(this.#making);
    await this.#rounds;
    clearTimeout(grace);
    clearInterval(this.#renewal);
  }

  #go(): void {
    this.#rounds ??= this.#roundAfterRound();
  }

  async #roundAfterRound(): Promise<void> {
    // What ends in the same moment shares the round.
    await Promise.resolve();
    for (let goesOn = true; goesOn;) {
      if (this.#ended.length > 0) await this.#store(this.#ended.splice(0));
      const mayBeMore = !this.#isStopped && (await this.#takeDue());
      goesOn = mayBeMore || this.#ended.length > 0;
    }
    this.#rounds = null;
  }

  /** @returns whether there may be more to take */
  async #takeDue(): Promise<boolean> {
    try {
      const now = new Date(this.#deps.clock.now());
      if (this.#lookAtAll) {
        this.#lookAtAll = false;
        await this.#effects.hurry();
        for (const id of await this.#leases.due(now)) this.#wanted.add(id);
      }
      const offers = this.#lanes.offer(this.#wanted);
      // Whoever is woken from here on is looked at again.
      for (const id of offers.keys()) this.#wanted.delete(id);
      const claimed = offers.size > 0 ? await this.#leases.claim(offers, now) : [];
      for (const delivery of claimed) {
        this.#held.add(delivery);
        this.#lanes.add(delivery);
        this.#begin(delivery.triggerId, delivery);
        const rest = offers.get(delivery.triggerId)! - 1;
        offers.set(delivery.triggerId, rest);
        if (rest === 0) this.#wanted.add(delivery.triggerId);
      }
      return offers.size > 0 || this.#lookAtAll;
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'deliveries could not be taken; it will be tried again');
      return false;
    }
  }

  /** Begins as many deliveries of a trigger as may run beside each other. @param fresh one that was taken just now */
  #begin(triggerId: string, fresh?: ClaimedDelivery): void {
    let delivery: ClaimedDelivery | undefined;
    while ((delivery = this.#lanes.next(triggerId))) {
      const making = this.#make(delivery, delivery === fresh).finally(() => this.#making.delete(making));
      this.#making.add(making);
    }
  }

  async #make(delivery: ClaimedDelivery, isFresh: boolean): Promise<void> {
    let outcome: Outcome | null = null;
    try {
      const target = isFresh ? {} : await this.#targets.of(delivery.triggerId);
      // What comes of it is judged by where it went.
      Object.assign(delivery, target);
      if (target !== null && this.#leases.surelyHeld(delivery))
        outcome = await this.#deps.attempts.make(delivery, this.#closing.signal);
    } catch (error) {
      this.#warn(delivery, error, 'a delivery failed unexpectedly; it will be made again');
    }
    this.#ended.push({ delivery, outcome });
    this.#giveUp(this.#lanes.ended(delivery, outcome?.error === null));
    this.#begin(delivery.triggerId);
    this.#go();
  }

  #giveUp(deliveries: ClaimedDelivery[]): void {
    for (const delivery of deliveries) this.#ended.push({ delivery, outcome: null });
    if (deliveries.length > 0) this.#go();
  }

  async #store(ended: Ended[]): Promise<void> {
    try {
      const made = await this.#storeTogether(ended);
      // It is stored, whatever becomes of what follows from it.
      if (made) await this.#effects.follow(made.outcomes, made.stored);
    } catch (error) {
      const [one, another] = ended;
      if (another) {
        // One that can't be stored must not have the others made again.
        for (const each of ended) await this.#store([each]);
        return;
      }
      if (one)
        this.#warn(
          one.delivery,
          error,
          'it is not known whether what came of a delivery was stored; if not, it will be made again',
        );
    }
    for (const { delivery } of ended) {
      // Where it could not be stored, the lease runs out.
      this.#held.delete(delivery);
      this.#lanes.left(delivery);
      // The next one of its record may be due now.
      this.#wanted.add(delivery.triggerId);
    }
  }

  #warn({ triggerId, eventId }: ClaimedDelivery, error: unknown, what: string): void {
    this.#deps.logger.warn({ err: error, trigger: triggerId, event: eventId }, what);
  }

  /** @returns what was stored of attempts that were made */
  async #storeTogether(
    ended: Ended[],
  ): Promise<{ outcomes: ReadonlyMap<ClaimedDelivery, Outcome>; stored: Stored } | null> {
    const unmade = ended.filter(({ outcome }) => outcome === null).map(({ delivery }) => delivery);
    if (unmade.length > 0) await this.#leases.giveBack(unmade);
    const outcomes = new Map(
      ended.flatMap(({ delivery, outcome }) => (outcome ? [[delivery, outcome]] : [])),
    );
    return outcomes.size === 0 ? null : { outcomes, stored: await this.#leases.finish(outcomes) };
  }
}
