import type { Logger } from '../logger.ts';
import type { AuditLog } from './audit-log.ts';

const pruneIntervalMs = 60 * 60_000;

/** Deletes entries that are old enough, right after the start and then once an hour. Any number of instances may. */
export class AuditRetention {
  readonly #audit: AuditLog;
  readonly #retentionDays: number;
  readonly #logger: Logger;
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #pruning: Promise<void> = Promise.resolve();

  constructor(deps: { audit: AuditLog; retentionDays: number; logger: Logger }) {
    this.#audit = deps.audit;
    this.#retentionDays = deps.retentionDays;
    this.#logger = deps.logger;
  }

  start(): void {
    this.#pruning = this.#prune();
    void this.#pruning.then(() => {
      if (!this.#closing.signal.aborted) this.#timer = setTimeout(() => this.start(), pruneIntervalMs);
    });
  }

  /** Waits for the batch under way. */
  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    await this.#pruning;
  }

  async #prune(): Promise<void> {
    try {
      const entries = await this.#audit.prune(this.#retentionDays, this.#closing.signal);
      if (entries > 0) this.#logger.info({ entries }, 'old audit entries were deleted');
    } catch (error) {
      this.#logger.warn({ err: error }, 'old audit entries were not deleted; it will be tried again');
    }
  }
}
