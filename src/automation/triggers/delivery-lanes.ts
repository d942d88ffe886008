import { performance } from 'node:perf_hooks';

/** Deliveries that one process makes at once for one trigger; one while its endpoint fails or is slow. */
const maxAtOncePerTrigger = 10;
/** Deliveries of one trigger that are taken and not stored, over all instances; one while its endpoint fails. */
export const maxTakenPerTrigger = 50;
/** Deliveries that one process has taken, beside the one that each trigger may have in any case. */
export const sharedPlaces = 250;
/** An endpoint that takes longer than this gets no second delivery until it has answered, in milliseconds. */
const slowMs = 1_000;
/** How long an endpoint that took its last delivery is known for it, in milliseconds. */
const knownMs = 60_000;

interface Lane<T> {
  /** Taken, and not begun. */
  readonly queue: T[];
  /** Begun, by when, oldest first. */
  readonly begun: Map<T, number>;
  /** Ended, and not stored. */
  ending: number;
  /** Whether the last attempt that ended was a success. */
  isTaking: boolean;
  endedAt: number;
}

/**
 * Who may have how many deliveries in this process. Each trigger may always have one, whatever the others do: that place
 * is its own and takes none from anybody. More than one, from the places that all share, has only an endpoint that took
 * its last delivery and is quick. One that fails or becomes slow loses what it has not begun. So an endpoint that hangs
 * holds its own place, and ten at most of the shared ones if it was quick a moment ago, until its deliveries have timed out.
 */
export class DeliveryLanes<T extends { triggerId: string }> {
  readonly #lanes = new Map<string, Lane<T>>();
  readonly #now: () => number;

  /** @param now a clock that only goes forward, in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** How many more may be taken now of each of these triggers: for its own place first, then the shared ones in turn. */
  offer(triggerIds: Iterable<string>): Map<string, number> {
    const offers = new Map<string, number>();
    const growing: { id: string; room: number }[] = [];
    for (const id of triggerIds) {
      const lane = this.#lanes.get(id);
      const held = lane ? heldBy(lane) : 0;
      if (held === 0) offers.set(id, 1);
      if (lane?.isTaking && !this.#isSlow(lane) && held < maxTakenPerTrigger)
        growing.push({ id, room: maxTakenPerTrigger - Math.max(1, held) });
    }
    // Who has least comes first.
    growing.sort((a, b) => b.room - a.room);
    let left = sharedPlaces - this.#sharedHeld();
    for (const [place, { id, room }] of growing.entries()) {
      const share = Math.min(room, Math.ceil(left / (growing.length - place)));
      if (share <= 0) continue;
      offers.set(id, (offers.get(id) ?? 0) + share);
      left -= share;
    }
    return offers;
  }

  add(delivery: T): void {
    const fresh: Lane<T> = { queue: [], begun: new Map(), ending: 0, isTaking: false, endedAt: 0 };
    const lane = this.#lanes.get(delivery.triggerId) ?? fresh;
    lane.queue.push(delivery);
    this.#lanes.set(delivery.triggerId, lane);
  }

  /** What is to be begun now, if there is something. */
  next(triggerId: string): T | undefined {
    const lane = this.#lanes.get(triggerId);
    if (!lane || lane.begun.size >= maxAtOncePerTrigger) return undefined;
    const delivery = lane.queue.shift();
    if (delivery) lane.begun.set(delivery, this.#now());
    return delivery;
  }

  /** @returns deliveries that must not be begun any more, for after a failure the endpoint gets one at a time */
  ended(delivery: T, wasTaken: boolean): T[] {
    const lane = this.#lanes.get(delivery.triggerId);
    if (!lane?.begun.delete(delivery)) return [];
    lane.ending += 1;
    lane.isTaking = wasTaken;
    lane.endedAt = this.#now();
    return wasTaken ? [] : abandon(lane);
  }

  /** Its place is free. */
  left({ triggerId }: T): void {
    const lane = this.#lanes.get(triggerId);
    if (lane) lane.ending -= 1;
  }

  /** @returns deliveries that wait behind an endpoint that has become slow, and must not be begun any more */
  abandonSlow(): T[] {
    return [...this.#lanes.values()].filter((lane) => this.#isSlow(lane)).flatMap(abandon);
  }

  /** @returns all that was not begun, and must not be any more */
  abandonAll(): T[] {
    return [...this.#lanes.values()].flatMap(abandon);
  }

  /** Forgets who has had nothing to do for long. */
  forgetIdle(): void {
    for (const [id, lane] of this.#lanes)
      if (heldBy(lane) === 0 && this.#now() - lane.endedAt > knownMs) this.#lanes.delete(id);
  }

  #isSlow({ begun }: Lane<T>): boolean {
    const [oldest] = begun.values();
    return oldest !== undefined && this.#now() - oldest >= slowMs;
  }

  #sharedHeld(): number {
    let held = 0;
    for (const lane of this.#lanes.values()) held += Math.max(0, heldBy(lane) - 1);
    return held;
  }
}

function heldBy<T>({ queue, begun, ending }: Lane<T>): number {
  return queue.length + begun.size + ending;
}

function abandon<T>(lane: Lane<T>): T[] {
  lane.ending += lane.queue.length;
  return lane.queue.splice(0);
}
