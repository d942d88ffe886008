import { setMaxListeners } from 'node:events';
import type { ExecutionArgs, ExecutionResult } from 'graphql';
import type { App } from '../app.ts';
import type { GraphQLContext } from './context.ts';
import { shownError } from './error-masking.ts';
import { executeTogether, watchedConnectionAgeMs } from './event-execution.ts';
import type { Outlet } from './outlet.ts';
import type { RunningSubscription } from './running-subscription.ts';
import type { Source, SourceEvent, SourceStep } from './shared-source.ts';
import type { SubscriberGroup } from './subscriber-group.ts';
import { ToldEvent } from './told-event.ts';

/**
 * One subscription to a shared source.
 *
 *     waiting --start--> catching up --admitted--> live
 *                             ^-- outlet is full --'
 *     any of them --end, leave, fail--> ended
 *
 * While it catches up, it reads the source at its own pace, which is that of its outlet, and executes by itself. While it
 * is live, its group hands it what it has executed for all. It is never both, and its place only moves forwards.
 */
export class Subscriber {
  readonly args: ExecutionArgs;
  /** Resolves when nothing more will be told. */
  readonly ended: Promise<void>;
  #state: 'waiting' | 'catching up' | 'live' | 'ended' = 'waiting';
  #place: string;
  readonly #source: Source;
  readonly #group: SubscriberGroup;
  readonly #outlet: Outlet;
  readonly #running: RunningSubscription;
  /** Kept here, since whoever sends to thousands waits for the memory of each object on the way. */
  readonly #metrics: App['metrics'];
  #resolveEnded: (() => void) | null = null;
  /** Given when catching up is to stop. */
  #stopping: AbortController | null = null;
  #hasStarted = false;
  #hasLeft = false;
  /** What is told when somebody begins to listen after the end. */
  #lastWord: ToldEvent | null = null;

  constructor(
    source: Source,
    options: { args: ExecutionArgs; group: SubscriberGroup; outlet: Outlet; running: RunningSubscription },
  ) {
    this.#source = source;
    this.#place = source.start;
    this.args = options.args;
    this.#group = options.group;
    this.#outlet = options.outlet;
    this.#running = options.running;
    this.#metrics = this.#context.app.metrics;
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
    this.#group.add(this);
    source.onEnd((last) => void this.endWith(last));
  }

  /** Everything up to here has been told. */
  get place(): string {
    return this.#place;
  }

  /** Begins to tell. Calls after the first do nothing, except that a last word that came before is told. */
  start(): void {
    if (this.#state === 'waiting') {
      this.#goOn([this.#source.greeting()]);
    } else if (this.#lastWord) {
      this.#send(this.#lastWord);
      this.#lastWord = null;
      this.#resolveEnded?.();
    }
  }

  /** Tells an event unless the subscriber has it. @returns false when it takes no more at the moment. */
  offer(told: ToldEvent): boolean {
    if (this.#state === 'ended') return false;
    if (told.place > this.#place || (told.onlyPlace && told.place === this.#place)) {
      this.#place = told.place;
      this.#send(told);
    }
    return !this.#outlet.isFull;
  }

  /** Goes on at its own pace, until the group can admit it. */
  catchUp(): void {
    if (this.#state === 'live') this.#goOn([]);
  }

  /** Ends with a last word, such as why. */
  end(last: ExecutionResult): void {
    if (this.#stop()) this.#close(new ToldEvent(last, null));
  }

  /** Ends without a word, since nobody is there to hear it. */
  leave(): void {
    this.#hasLeft = true;
    if (this.#stop()) this.#close(null);
  }

  /** Ends for a fault of ours. */
  fail(error: unknown): void {
    this.end({ errors: [shownError(error, this.#context)] });
  }

  #goOn(first: SourceEvent[]): void {
    this.#state = 'catching up';
    const stopping = new AbortController();
    // Every wait of the fields of its events listens to it; Node takes more than ten for a leak.
    setMaxListeners(0, stopping.signal);
    this.#stopping = stopping;
    this.#catchUp(first, stopping.signal).catch((error: unknown) => this.fail(error));
  }

  async #catchUp(first: SourceEvent[], signal: AbortSignal): Promise<void> {
    await this.#tellStep({ events: first, place: this.#place }, signal);
    while (!signal.aborted && !this.#isAdmitted()) {
      for await (const step of this.#source.stream(this.#place, signal)) {
        await this.#tellStep(step, signal);
        if (signal.aborted || this.#isAdmitted()) return;
        // Being admitted may have failed half-way: what this stream would tell next has been told.
        if (this.#place > step.place) break;
      }
      await this.#outlet.room(signal);
    }
  }

  #isAdmitted(): boolean {
    if (!this.#group.admit(this)) return false;
    this.#state = 'live';
    this.#stopping = null;
    return true;
  }

  /** Executes a step and tells it, and comes back when there is room for more. */
  async #tellStep({ events, place, last }: SourceStep, signal: AbortSignal): Promise<void> {
    const told = events.map(({ event }) => event);
    const terms = { signal, connectionAgeMs: watchedConnectionAgeMs };
    const results = told.length > 0 ? await executeTogether(told, this.args, terms) : [];
    for (const [index, result] of results.entries()) {
      if (!this.offer(new ToldEvent(result, events[index] ?? null))) await this.#outlet.room(signal);
      if (signal.aborted) return;
    }
    await this.#outlet.room(signal);
    if (place > this.#place) this.#place = place;
    if (last) await this.endWith(last.event);
  }

  #send(told: ToldEvent): void {
    if (this.#hasLeft) return;
    this.#metrics.eventSent();
    this.#outlet.send(told.textFor(this.args), told.id);
  }

  get #context(): GraphQLContext {
    return this.args.contextValue as GraphQLContext;
  }

  /** Ends with a last event of the source. */
  async endWith(last: unknown): Promise<void> {
    if (!this.#stop()) return;
    try {
      const [result] = await executeTogether([last], this.args, {});
      this.#close(result ? new ToldEvent(result, null) : null);
    } catch (error) {
      this.#close(new ToldEvent({ errors: [shownError(error, this.#context)] }, null));
    }
  }

  /** From here on nothing of the source is told. @returns false if that was so already. */
  #stop(): boolean {
    if (this.#state === 'ended') return false;
    this.#hasStarted = this.#state !== 'waiting';
    this.#state = 'ended';
    this.#stopping?.abort();
    this.#group.remove(this);
    this.#source.close();
    this.#running.release();
    return true;
  }

  #close(lastWord: ToldEvent | null): void {
    if (lastWord && !this.#hasStarted) {
      this.#lastWord = lastWord;
      return;
    }
    if (lastWord) this.#send(lastWord);
    this.#resolveEnded?.();
  }
}
