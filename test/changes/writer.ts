import { setTimeout as delay } from 'node:timers/promises';
import { control } from '../support/app.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { markPrefix } from './ledger-comparison.ts';
import { crm } from './upstream-edits.ts';

let marks = 0;
const mark = (): string => `${markPrefix}${(marks += 1)}`;

/**
 * People who edit a base in the service's own pages: new contacts, some of them of a company, whose record changes with
 * them; new names; deletions. Each edit is a transaction of up to five records.
 */
export class Writer {
  readonly #sandboxUrl: string;
  readonly #random: SeededRandom;
  readonly #contacts: string[] = [];
  readonly #companies: string[] = [];
  #isOver = false;
  #life: Promise<void> = Promise.resolve();

  constructor(sandboxUrl: string, random: SeededRandom) {
    this.#sandboxUrl = sandboxUrl;
    this.#random = random;
  }

  /** Edits all the time, with pauses of so many milliseconds on average, until `end`. */
  start(pauseMs: number): void {
    this.#life = this.#write(pauseMs);
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#life;
  }

  async #write(pauseMs: number): Promise<void> {
    while (!this.#isOver) {
      await this.edit();
      await delay(this.#random.between(0, 2 * pauseMs));
    }
  }

  async edit(): Promise<void> {
    const random = this.#random;
    const drawn = random.between(0, 1);
    if (drawn < 0.1 || this.#companies.length === 0) return this.#createCompany();
    if (drawn < 0.5 || this.#contacts.length < 10) return this.#createContacts(random.whole(1, 4));
    if (drawn < 0.9) return this.#rename(random.whole(1, 6));
    return this.#destroy(random.whole(1, 3));
  }

  async #createCompany(): Promise<void> {
    this.#companies.push(
      ...(await this.#edit({ tableId: 'Companies', create: [{ fields: { Name: mark() } }] })),
    );
  }

  async #createContacts(count: number): Promise<void> {
    const create = Array.from({ length: count }, () => {
      const company = this.#random.between(0, 1) < 0.3 ? [this.#random.of(this.#companies)] : [];
      return { fields: { Name: mark(), Company: company } };
    });
    this.#contacts.push(...(await this.#edit({ create })));
  }

  async #rename(count: number): Promise<void> {
    const ids = new Set(Array.from({ length: count }, () => this.#random.of(this.#contacts)));
    await this.#edit({ update: [...ids].map((id) => ({ id, fields: { Name: mark() } })) });
  }

  async #destroy(count: number): Promise<void> {
    const destroy = Array.from({ length: count }, () => {
      const [id = ''] = this.#contacts.splice(this.#random.whole(0, this.#contacts.length), 1);
      return id;
    });
    await this.#edit({ destroy });
  }

  async #edit(what: object): Promise<string[]> {
    const { created } = await control<{ created: string[] }>(this.#sandboxUrl, 'edits', { ...crm, ...what });
    return created;
  }
}
