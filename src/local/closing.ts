import type { Logger } from '../logger.ts';

interface Opened {
  name: string;
  close(): Promise<void>;
}

/** What a process has opened, to be closed in reverse. One failing close does not spare the others. */
export class Closing {
  readonly #logger: Logger;
  readonly #opened: Opened[] = [];

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  opened(name: string, close: () => Promise<void>): void {
    this.#opened.push({ name, close });
  }

  async closeAll(): Promise<void> {
    for (let next = this.#opened.pop(); next; next = this.#opened.pop()) {
      try {
        await next.close();
      } catch (error) {
        this.#logger.error({ err: error, part: next.name }, 'could not be closed in order');
      }
    }
  }
}
