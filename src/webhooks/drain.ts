import { setMaxListeners } from 'node:events';
import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import type { BaseSchemas } from '../bases/base-schemas.ts';
import type { ChangeFeeds } from '../changes/change-feeds.ts';
import type { LogEntry } from '../changes/log-entry.ts';
import type { Clock } from '../clock.ts';
import type { Upstream } from '../connections/upstream.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { DrainLeases, type TakenWebhook } from './drain-leases.ts';
import { appendPage } from './page-append.ts';
import { PageEntries, type ReadPage } from './page-entries.ts';
import { PayloadPages } from './payload-pages.ts';
import { webhookOperation } from './webhook-operation.ts';

const renewIntervalMs = 3_000;

export interface DrainDeps {
  database: DataSource;
  upstream: Pick<Upstream, 'api'>;
  schemas: BaseSchemas;
  feeds: ChangeFeeds;
  clock: Clock;
  logger: Logger;
  /** Called when the upstream refused to hand out payloads: the webhook may be gone. */
  onRefused: (webhookId: string) => void;
  /** Told of what was added to the log, once it is stored. */
  onAppended: (entries: readonly LogEntry[]) => void;
}

/** A drain under way here. */
interface Running {
  promise: Promise<void>;
  again: boolean;
  known: number;
}

/** The row is no longer ours: another instance took over, or the webhook was given up. What was read is dropped. */
class LeaseLost extends Error {}

/**
 * Pulls the payloads of webhooks into the log.
 *
 * A drain holds a lease on the webhook's row, by PostgreSQL's clock. It pulls from `next_payload` until there is no
 * more; each page is appended by one statement that also moves `next_payload` and checks that the lease and
 * the number are still the ones that the page was read under. So whoever was asleep or cut off writes nothing, and a
 * crash anywhere means that the same page is read again, with the same positions.
 *
 * A ping only sets `drain_wanted_at`, and one that comes in the middle of a drain has it done once more: many pings
 * cost one drain more at most.
 */
export class Drains {
  readonly #deps: DrainDeps;
  readonly #leases: DrainLeases;
  readonly #pages: PageEntries;
  readonly #running = new Map<string, Running>();
  readonly #closing = new AbortController();

  constructor(deps: DrainDeps) {
    // Everything under way listens to it; Node takes more than ten for a leak.
    setMaxListeners(0, this.#closing.signal);
    this.#deps = deps;
    this.#leases = new DrainLeases(deps);
    this.#pages = new PageEntries(deps);
  }

  /**
   * Starts a drain in the background unless one runs here, which then looks again before it ends.
   * @param known The number after the last payload that the upstream has written, if it has told. Those before it that
   *   the drain does not get are gone, and are logged as lost.
   */
  kick(webhookId: string, known = 0): void {
    if (this.#closing.signal.aborted) return;
    const running = this.#running.get(webhookId);
    if (running) {
      running.again = true;
      return;
    }
    const state: Running = { promise: Promise.resolve(), again: false, known };
    this.#running.set(webhookId, state);
    state.promise = this.#run(webhookId, state)
      .catch((error: unknown) => this.#deps.logger.warn({ err: error, webhook: webhookId }, 'a drain failed'))
      .finally(() => this.#running.delete(webhookId));
  }

  /** Drains now, or waits for the drain that runs here. */
  async drain(webhookId: string, known = 0): Promise<void> {
    this.kick(webhookId, known);
    await this.#running.get(webhookId)?.promise;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#running.values()].map(({ promise }) => promise));
  }

  async #run(webhookId: string, state: Running): Promise<void> {
    let onlyIfWanted = false;
    do {
      state.again = false;
      const wantedMeanwhile = await this.#drainOnce(webhookId, onlyIfWanted, state.known);
      state.again ||= wantedMeanwhile;
      onlyIfWanted = true;
    } while (state.again && !this.#closing.signal.aborted);
  }

  /** @returns whether another drain was asked for meanwhile. */
  async #drainOnce(webhookId: string, onlyIfWanted: boolean, known: number): Promise<boolean> {
    const holder = randomUUID();
    const webhook = await this.#leases.take(webhookId, holder, onlyIfWanted);
    if (!webhook) return false;
    const renewal = setInterval(() => void this.#leases.renew(webhookId, holder), renewIntervalMs);
    try {
      return (await this.#pull(webhook, holder, known)) ?? (await this.#leases.giveBack(webhook, holder));
    } catch (error) {
      if (error instanceof LeaseLost) return false;
      await this.#leases.giveUp(webhookId, holder, error, this.#closing.signal.aborted);
      if (mayBeGone(error)) this.#deps.onRefused(webhookId);
      throw error;
    } finally {
      clearInterval(renewal);
    }
  }

  /** @returns as the last append, with which the lease was given back; null when it is still held */
  async #pull(webhook: TakenWebhook, holder: string, known: number): Promise<boolean | null> {
    const { upstream, clock } = this.#deps;
    const { connectionId, baseId, upstreamId } = webhook;
    if (connectionId === null || upstreamId === null) {
      throw new AppError(
        'CONNECTION_NOT_CONNECTED',
        `The webhook of base ${baseId} has no connection to be read through.`,
      );
    }
    const operation = () => webhookOperation(clock, this.#closing.signal);
    const pages = new PayloadPages({ baseId, upstreamId }, () => upstream.api(connectionId, operation()));
    let next = webhook.nextPayload;
    let wanted: boolean | null = null;
    for (let mightHaveMore = true; mightHaveMore;) {
      const page = await pages.read(next);
      if (!page) {
        const passed = { from: next, to: next + 1 };
        await this.#append(webhook, holder, passed, await this.#pages.tooLarge(webhook, next), false);
        next = passed.to;
        continue;
      }
      if (page.cursor - page.payloads.length < next) {
        throw new AppError(
          'UPSTREAM_UNREADABLE',
          `The upstream numbered payloads below ${next}, the first that was asked for.`,
          {
            details: { baseId },
          },
        );
      }
      mightHaveMore = page.mightHaveMore && page.payloads.length > 0;
      const isLast = !mightHaveMore && page.cursor >= known;
      if (page.cursor > next)
        wanted = await this.#append(
          webhook,
          holder,
          { from: next, to: page.cursor },
          await this.#pages.read(webhook, next, page, operation()),
          isLast,
        );
      next = page.cursor;
    }
    if (next < known)
      wanted = await this.#append(
        webhook,
        holder,
        { from: next, to: known },
        await this.#pages.missing(webhook, known),
        true,
      );
    return wanted;
  }

  /** @returns of the last page, whether another drain was asked for meanwhile; of others null */
  async #append(
    webhook: TakenWebhook,
    holder: string,
    payloads: { from: number; to: number },
    page: ReadPage,
    isLast: boolean,
  ): Promise<boolean | null> {
    const { database, feeds, logger, onAppended } = this.#deps;
    const { entries, unread } = page;
    const ended = isLast ? webhook.startedAt : null;
    const wanted = await appendPage(database, webhook, holder, payloads, page, ended);
    if (wanted === null) throw new LeaseLost();
    if (unread.length > 0)
      logger.warn(
        { webhook: webhook.id, baseId: webhook.baseId, payloads: unread.map(({ number }) => number) },
        'payloads say more than is understood; it is kept in unread_payloads',
      );
    if (entries.length > 0) onAppended(entries);
    const last = entries.at(-1);
    if (last) feeds.ring(webhook.feedId, last.position);
    return isLast ? wanted : null;
  }
}

/** So the upstream speaks of a webhook that it no longer has, or of a base that may no longer be read. */
const refusals: readonly ErrorCode[] = [
  'WEBHOOK_NOT_FOUND',
  'UPSTREAM_FORBIDDEN',
  'UPSTREAM_REJECTED',
  'CONNECTION_NOT_CONNECTED',
];

/** Whether the webhook may be gone, so that it is looked after before that is due. */
function mayBeGone(error: unknown): boolean {
  return error instanceof AppError && refusals.includes(error.code);
}
