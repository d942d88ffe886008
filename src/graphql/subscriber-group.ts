import { setMaxListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { executeTogether, watchedConnectionAgeMs } from './event-execution.ts';
import type { Source } from './shared-source.ts';
import type { Subscriber } from './subscriber.ts';
import { ToldEvent } from './told-event.ts';

/** Events that a group with several subscribers keeps for those who are about to join it. */
const maxRecentEvents = 200;
/** Their length together, in characters. */
const maxRecentCharacters = 250_000;

/** Results that are sent before others get their turn in this process. */
const maxSendsPerTurn = 500;

/**
 * Subscribers who are told the very same results. While they are live, the group reads the source once, executes once
 * and hands each result to all of them. A subscriber who begins further back, or who is slow, catches up by itself, and
 * is admitted as soon as everything after its place is either among the group's recent events or yet to come. That is
 * one step without a wait, and each subscriber takes only what lies beyond its own place: so joining leaves no hole and
 * repeats nothing.
 */
export class SubscriberGroup {
  readonly #source: Source;
  readonly #onEmpty: () => void;
  readonly #stopping = new AbortController();
  readonly #members = new Set<Subscriber>();
  /** Those who have everything up to the last event that was told. */
  readonly #live = new Set<Subscriber>();
  /** What was told last, oldest first. All that live subscribers were told after `#covers` is among it. */
  #recent: { told: ToldEvent; characters: number }[] = [];
  #recentCharacters = 0;
  #covers: string;
  /** The last step has come. Whoever has not been told it comes to it by itself. */
  #isOver = false;

  constructor(source: Source, onEmpty: () => void) {
    // Every wait of the fields of its events listens to it; Node takes more than ten for a leak.
    setMaxListeners(0, this.#stopping.signal);
    this.#source = source;
    this.#onEmpty = onEmpty;
    this.#covers = source.head;
  }

  /** Takes part from now on, but is told nothing before it is admitted. */
  add(subscriber: Subscriber): void {
    this.#members.add(subscriber);
    if (this.#members.size === 1 && !this.#stopping.signal.aborted) void this.#run();
  }

  /** Gives the subscriber what it lacks and makes it live, unless it is too far back or takes no more at the moment. */
  admit(subscriber: Subscriber): boolean {
    if (this.#isOver || subscriber.place < this.#covers) return false;
    for (const { told } of this.#recent) if (!subscriber.offer(told)) return false;
    this.#live.add(subscriber);
    return true;
  }

  remove(subscriber: Subscriber): void {
    this.#live.delete(subscriber);
    if (!this.#members.delete(subscriber) || this.#members.size > 0) return;
    this.#stopping.abort();
    this.#onEmpty();
  }

  async #run(): Promise<void> {
    try {
      for await (const step of this.#source.stream(this.#covers, this.#stopping.signal)) {
        this.#isOver = step.last !== undefined;
        const [anyone] = this.#live;
        if (!anyone) {
          // Whoever catches up reads on by itself, at least to here.
          this.#forgetUntil(step.place);
          continue;
        }
        if (step.events.length > 0) {
          // Everybody here may see the same. Nobody's leaving may end what the others wait for.
          const events = step.events.map(({ event }) => event);
          const { signal } = this.#stopping;
          const terms = { signal, connectionAgeMs: watchedConnectionAgeMs };
          const results = await executeTogether(events, anyone.args, terms);
          for (const [index, result] of results.entries()) {
            const isLast = this.#isOver && index === results.length - 1;
            await this.#tell(new ToldEvent(result, step.events[index] ?? null), isLast);
          }
        }
        if (this.#recent.length === 0) this.#covers = step.place;
        if (step.last) for (const subscriber of [...this.#live]) void subscriber.endWith(step.last.event);
      }
    } catch (error) {
      for (const subscriber of [...this.#members]) subscriber.fail(error);
    }
  }

  /** @param isLast nothing of the source follows: who takes no more now has nothing to catch up with, and waits for the end */
  async #tell(told: ToldEvent, isLast: boolean): Promise<void> {
    this.#keep(told);
    let sends = 0;
    for (const subscriber of this.#live) {
      if (!subscriber.offer(told) && !isLast) {
        this.#live.delete(subscriber);
        subscriber.catchUp();
      }
      sends += 1;
      // Who joins or leaves meanwhile is no matter: everybody takes only what lies beyond its place.
      if (sends % maxSendsPerTurn === 0) await nextTurn();
    }
  }

  #keep(told: ToldEvent): void {
    // Nobody can be about to join a group of one. Where everybody stands is told seldom, and is the end of older events.
    if (this.#members.size === 1 || told.onlyPlace) return this.#forgetUntil(told.place);
    const characters = told.length;
    this.#recent.push({ told, characters });
    this.#recentCharacters += characters;
    while (this.#recent.length > maxRecentEvents || this.#recentCharacters > maxRecentCharacters) {
      const oldest = this.#recent.shift();
      if (!oldest) return;
      this.#recentCharacters -= oldest.characters;
      this.#covers = oldest.told.place;
    }
  }

  #forgetUntil(place: string): void {
    this.#recent = [];
    this.#recentCharacters = 0;
    this.#covers = place;
  }
}
