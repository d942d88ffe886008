import { createClient, type Client } from 'graphql-ws';
import { WebSocket } from 'ws';

/** A subscription over graphql-ws whose events can be awaited one by one. */
export class TestSubscription<Event> {
  readonly events: Event[] = [];
  readonly #client: Client;
  readonly #stop: () => void;
  #ended: unknown = null;
  #waiting: (() => void)[] = [];

  constructor(url: string, key: string, query: string, variables: Record<string, unknown>) {
    this.#client = createClient({
      url: `${url.replace(/^http/, 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${key}` },
      retryAttempts: 0,
    });
    this.#stop = this.#client.subscribe<Record<string, Event>>(
      { query, variables },
      {
        next: ({ data, errors }) => {
          if (errors) this.#ended = errors;
          if (data) this.events.push(Object.values(data)[0] as Event);
          this.#wake();
        },
        error: (error) => {
          this.#ended = error;
          this.#wake();
        },
        complete: () => this.#wake(),
      },
    );
  }

  /** Waits until an event matches. @throws when the subscription has failed, or nothing matches within `withinMs`. */
  async until<Match extends Event>(
    matches: (event: Event) => event is Match,
    withinMs?: number,
  ): Promise<Match>;
  async until(matches: (event: Event) => boolean, withinMs?: number): Promise<Event>;
  async until(matches: (event: Event) => boolean, withinMs = 10_000): Promise<Event> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      const found = this.events.find(matches);
      if (found) return found;
      if (this.#ended) throw new Error(`The subscription failed: ${JSON.stringify(this.#ended)}`);
      const leftMs = deadline - Date.now();
      if (leftMs <= 0)
        throw new Error(`No such event within ${withinMs} ms; there were ${JSON.stringify(this.events)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  async close(): Promise<void> {
    this.#stop();
    await this.#client.dispose();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
