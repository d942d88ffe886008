import { setTimeout as wait } from 'node:timers/promises';
import type { Logger } from './logger.ts';

/** Ends of parts, by their name in the log. */
type Ends = Record<string, () => unknown>;

/** Ends one part after the other. One that fails does not spare those after it. */
export async function endInOrder(ends: Ends, logger: Logger): Promise<void> {
  for (const [part, end] of Object.entries(ends)) {
    try {
      await end();
    } catch (error) {
      logger.error({ err: error, part }, 'could not be closed in order');
    }
  }
}

/** Ends parts side by side, and waits for them no longer than `graceMs`. What has not ended then is left to itself. */
export async function endTogether(ends: Ends, graceMs: number, logger: Logger): Promise<void> {
  const open = new Set(Object.keys(ends));
  const ended = Promise.all(
    Object.entries(ends).map(async ([part, end]) => {
      await endInOrder({ [part]: end }, logger);
      open.delete(part);
    }),
  );
  await Promise.race([ended, wait(graceMs, undefined, { ref: false })]);
  if (open.size > 0) logger.warn({ parts: [...open], graceMs }, 'still at work when the server ends');
}

/** What a process has opened, to be closed in reverse. One failing close does not spare the others. */
export class Closing {
  readonly #logger: Logger;
  readonly #opened: { name: string; close: () => Promise<void> }[] = [];

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  opened(name: string, close: () => Promise<void>): void {
    this.#opened.push({ name, close });
  }

  async closeAll(): Promise<void> {
    for (let next = this.#opened.pop(); next; next = this.#opened.pop())
      await endInOrder({ [next.name]: next.close }, this.#logger);
  }
}
