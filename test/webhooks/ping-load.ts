import { setTimeout as delay } from 'node:timers/promises';
import { control } from '../support/app.ts';
import { markPrefix } from '../changes/ledger-comparison.ts';
import { crm } from '../changes/upstream-edits.ts';
import type { PingSender } from './ping-sender.ts';

/** Changes on their way at most, so that a busy machine gets fewer and no backlog. */
const maxUnderWay = 100;

let made = 0;

/** A new contact and a notification of it, so often in a second, until `end`. */
export class PingLoad {
  /** Transactions whose notification was answered 2xx. */
  readonly acknowledged: number[] = [];
  /** Notifications that were answered otherwise, or not at all. */
  failed = 0;
  readonly #underWay = new Set<Promise<void>>();
  #isOver = false;
  readonly #life: Promise<void>;

  constructor(options: { perSecond: number; sandboxUrl: string; serverUrl: string; sender: PingSender }) {
    this.#life = this.#run(options);
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#life;
    await Promise.all(this.#underWay);
  }

  async #run(options: {
    perSecond: number;
    sandboxUrl: string;
    serverUrl: string;
    sender: PingSender;
  }): Promise<void> {
    const startedAt = performance.now();
    for (let sent = 0; !this.#isOver;) {
      const due = ((performance.now() - startedAt) * options.perSecond) / 1_000;
      for (; sent < due; sent += 1) {
        if (this.#underWay.size >= maxUnderWay) continue;
        const one = this.#changeAndTell(options).finally(() => this.#underWay.delete(one));
        this.#underWay.add(one);
      }
      await delay(5);
    }
  }

  async #changeAndTell({
    sandboxUrl,
    serverUrl,
    sender,
  }: {
    sandboxUrl: string;
    serverUrl: string;
    sender: PingSender;
  }): Promise<void> {
    const create = [{ fields: { Name: `${markPrefix}of load ${(made += 1)}` } }];
    const { transaction } = await control<{ transaction: number }>(sandboxUrl, 'edits', { ...crm, create });
    const status = await sender.send(serverUrl);
    if (status === 204) this.acknowledged.push(transaction);
    else this.failed += 1;
  }
}
