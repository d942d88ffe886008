import { setMaxListeners } from 'node:events';
import type { DataSource } from 'typeorm';
import type { ChangeFeeds } from '../changes/change-feeds.ts';
import type { ChangeLog } from '../changes/change-log.ts';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { pruneDead } from './dead-webhooks.ts';
import type { Drains } from './drain.ts';
import { endIdleWebhooks, noteUse } from './feed-use.ts';
import { requiredScopes } from './specification.ts';
import { pruneUnread } from './unread-payloads.ts';
import type { WebhookChecks } from './webhook-checks.ts';

const tickMs = 1_000;

/** Pings get lost: how often payloads are pulled without one, while somebody listens here, and else. */
const drainSeconds = { listened: 20, idle: 600 };
const checkSeconds = { listened: 60, idle: 600 };

/** How long one instance has a check or a replacement to itself. */
const checkLeaseSeconds = 60;

/** What one tick starts at most; the rest is still due a second later. */
const maxStartedPerTick = 20;

/** A webhook that was deleted is only made again for those who still listen after this, not for those who are being told. */
const resurrectAfterSeconds = 5;

/** How often it is noted who listens, and looked for what nobody used. */
const usesIntervalMs = 60_000;

const pruneIntervalMs = 60 * 60_000;

export interface UpkeepDeps {
  database: DataSource;
  feeds: ChangeFeeds;
  log: ChangeLog;
  drains: Drains;
  checks: WebhookChecks;
  /** Days for which changes are kept. */
  retentionDays: number;
  /** Days without use after which a webhook is deleted; 0 for never. */
  idleDays: number;
  /** False: only for feeds that somebody follows here; the rest is another instance's work. */
  forAll: boolean;
  clock: Clock;
  logger: Logger;
}

/**
 * The timer behind the webhooks: drains that no ping asked for or that a dead instance left behind, checks, the
 * replacement of webhooks, the end of those that nobody uses, retention. All of it looks at rows and claims them there,
 * so any number of instances may run it.
 */
export class Upkeep {
  readonly #deps: UpkeepDeps;
  #timer: NodeJS.Timeout | undefined;
  #startedAt: Date | null = null;
  #prunedAt = 0;
  #usesNotedAt = 0;
  readonly #working = new Map<string, Promise<void>>();
  readonly #closing = new AbortController();

  constructor(deps: UpkeepDeps) {
    // Everything under way listens to it; Node takes more than ten for a leak.
    setMaxListeners(0, this.#closing.signal);
    this.#deps = deps;
  }

  /** Everything is due once right after the start: nobody knows what was missed before. */
  start(): void {
    this.#schedule(0);
  }

  /** Looks at a webhook soon, because the upstream refused to hand out its payloads. */
  checkSoon(webhookId: string): void {
    this.#work(webhookId, () => this.#deps.checks.check(webhookId, this.#closing.signal));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    await Promise.all(this.#working.values());
  }

  #schedule(delayMs: number): void {
    if (this.#closing.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#work('tick', () => this.#tick());
      void this.#working.get('tick')?.then(() => this.#schedule(this.#deps.clock.lookEveryMs ?? tickMs));
    }, delayMs);
  }

  /** Runs something in the background, unless the same is under way. */
  #work(name: string, run: () => Promise<void>): void {
    if (this.#working.has(name) || this.#closing.signal.aborted) return;
    const working = run()
      .catch((error: unknown) => {
        if (!this.#closing.signal.aborted)
          this.#deps.logger.warn(
            { err: error, webhook: name },
            'upkeep of webhooks failed; it will be tried again',
          );
      })
      .finally(() => this.#working.delete(name));
    this.#working.set(name, working);
  }

  async #tick(): Promise<void> {
    const { database, feeds, drains, checks, log, retentionDays } = this.#deps;
    if (!this.#startedAt) {
      const [row] = await database.query<{ now: Date }[]>('SELECT clock_timestamp() AS now');
      this.#startedAt = row?.now ?? null;
    }
    const listened = feeds.followed;
    for (const id of await this.#dueDrains(listened)) drains.kick(id);
    if (listened.length > 0) await this.#resurrect(listened);
    for (const { id, state } of await this.#claimChecks(listened)) {
      const step = state === 'lost' ? 'replace' : state === 'ending' ? 'end' : 'check';
      this.#work(id, () => checks[step](id, this.#closing.signal));
    }
    if (Date.now() - this.#usesNotedAt > usesIntervalMs) {
      this.#usesNotedAt = Date.now();
      this.#work('uses', () => this.#uses(listened));
    }
    if (this.#deps.forAll && Date.now() - this.#prunedAt > pruneIntervalMs) {
      this.#prunedAt = Date.now();
      this.#work('prune', async () => {
        await log.prune(retentionDays);
        await pruneUnread(database, retentionDays);
        await pruneDead(database);
      });
    }
  }

  async #uses(listened: number[]): Promise<void> {
    const { database, forAll, idleDays, logger } = this.#deps;
    await noteUse(database, listened);
    if (!forAll || idleDays === 0) return;
    for (const id of await endIdleWebhooks(database, idleDays))
      logger.info({ webhook: id, idleDays }, 'a webhook that nobody uses is deleted');
  }

  async #dueDrains(listened: number[]): Promise<string[]> {
    const rows = await this.#deps.database.query<{ id: string }[]>(
      `SELECT id FROM webhooks
       WHERE state = 'active' AND connection_id IS NOT NULL
         AND (drain_holder IS NULL OR drain_lease_until < clock_timestamp())
         AND (drain_not_before IS NULL OR drain_not_before < clock_timestamp())
         AND ($6 OR feed_id = ANY($1))
         AND (drain_wanted_at IS NOT NULL OR drain_holder IS NOT NULL OR last_drained_at IS NULL OR last_drained_at < $2
              OR last_drained_at < clock_timestamp() - make_interval(secs => CASE WHEN feed_id = ANY($1) THEN $3::float8 ELSE $4::float8 END))
       LIMIT $5`,
      [
        listened,
        this.#startedAt,
        drainSeconds.listened,
        drainSeconds.idle,
        maxStartedPerTick,
        this.#deps.forAll,
      ],
    );
    return rows.map(({ id }) => id);
  }

  async #claimChecks(listened: number[]): Promise<{ id: string; state: string }[]> {
    const [rows] = await this.#deps.database.query<[{ id: string; state: string }[], number]>(
      `UPDATE webhooks SET check_lease_until = clock_timestamp() + make_interval(secs => $5)
       WHERE id IN (
         SELECT id FROM webhooks
         WHERE (check_lease_until IS NULL OR check_lease_until < clock_timestamp()) AND ($7 OR feed_id = ANY($1))
           AND (state IN ('lost', 'ending') OR state = 'active' AND (replacement_reason IS NOT NULL AND replacement_problem IS NULL
                OR checked_at IS NULL OR checked_at < $2
                OR checked_at < clock_timestamp() - make_interval(secs => CASE WHEN feed_id = ANY($1) THEN $3::float8 ELSE $4::float8 END)))
         LIMIT $6 FOR UPDATE SKIP LOCKED
       ) RETURNING id, state`,
      [
        listened,
        this.#startedAt,
        checkSeconds.listened,
        checkSeconds.idle,
        checkLeaseSeconds,
        maxStartedPerTick,
        this.#deps.forAll,
      ],
    );
    return rows;
  }

  /** A feed that somebody listens to must have a webhook, even if it was deleted by hand, as long as a connection can make one. */
  async #resurrect(listened: number[]): Promise<void> {
    await this.#deps.database.query(
      `UPDATE webhooks SET state = 'lost' WHERE id IN (
         SELECT w.id FROM webhooks AS w JOIN change_feeds AS f ON f.id = w.feed_id AND f.generation = w.generation
         WHERE f.id = ANY($1) AND w.state = 'deleted' AND w.ended_at < clock_timestamp() - make_interval(secs => $2)
           AND NOT EXISTS (SELECT 1 FROM webhooks WHERE feed_id = f.id AND state IN ('creating', 'active', 'lost'))
           AND EXISTS (SELECT 1 FROM connections AS c WHERE c.client_id = f.client_id AND c.state = 'connected' AND c.granted_scopes @> $3)
         ORDER BY w.id FOR UPDATE OF w)`,
      [listened, resurrectAfterSeconds, [...requiredScopes]],
    );
  }
}
