import { setMaxListeners } from 'node:events';
import type { ServerResponse } from 'node:http';

/** Who waits for an answer, and may leave before it is there. */
export class Client {
  #gone = false;
  #leaving: AbortController | undefined;

  constructor(response: ServerResponse) {
    response.once('close', () => {
      if (response.writableFinished) return;
      this.#gone = true;
      this.#leaving?.abort();
    });
  }

  /** Aborted when the client has left. Made when it is asked for: an answer from memory waits for nothing. */
  get signal(): AbortSignal {
    if (!this.#leaving) {
      this.#leaving = new AbortController();
      // Every wait of the operation listens to it; Node takes more than ten for a leak.
      setMaxListeners(0, this.#leaving.signal);
      if (this.#gone) this.#leaving.abort();
    }
    return this.#leaving.signal;
  }
}
