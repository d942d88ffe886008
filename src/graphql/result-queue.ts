import type { ExecutionResult } from 'graphql';
import type { Outlet } from './outlet.ts';

/** Length of the results that wait for a stream to take them, in characters, above which no more are added. */
const maxQueuedCharacters = 64_000;

/** The way of results into an event stream, which takes one whenever the last has left. */
export class ResultQueue implements Outlet {
  readonly #results: { text: string; id: string | null }[] = [];
  #characters = 0;
  #closed = false;
  readonly #waking = new Set<() => void>();

  send(text: string, id: string | null): void {
    this.#results.push({ text, id });
    this.#characters += text.length;
    this.#wake();
  }

  get isFull(): boolean {
    return this.#characters > maxQueuedCharacters;
  }

  async room(signal: AbortSignal): Promise<void> {
    while (this.isFull && !this.#closed && !signal.aborted) await this.#woken(signal);
  }

  /** The next result, as soon as there is one; null once the queue is closed and empty. */
  async take(): Promise<ExecutionResult | null> {
    for (;;) {
      const next = this.#results.shift();
      if (next) {
        this.#characters -= next.text.length;
        this.#wake();
        return inEventStream(next);
      }
      if (this.#closed) return null;
      await this.#woken();
    }
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  #woken(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal?.removeEventListener('abort', done);
        this.#waking.delete(done);
        resolve();
      };
      signal?.addEventListener('abort', done);
      this.#waking.add(done);
    });
  }

  #wake(): void {
    for (const done of [...this.#waking]) done();
  }
}

/**
 * A result that is text already: the stream asks it to write itself where the data of an event stand. The event's id is
 * the next field of the same event.
 */
function inEventStream({ text, id }: { text: string; id: string | null }): ExecutionResult {
  const written = id === null ? text : `${text}\nid: ${id}`;
  return { stringify: () => written } as ExecutionResult;
}
