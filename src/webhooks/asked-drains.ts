import type { DataSource } from 'typeorm';
import type { Logger } from '../logger.ts';
import type { Drains } from './drain.ts';

/** Drains that readers of copies ask for begin no sooner after the last one, in seconds. */
const minAskedDrainSeconds = 2;

/** For those who keep a copy of what the log tells: how fresh it is, and pulls that they ask for. */
export class AskedDrains {
  readonly #database: DataSource;
  readonly #drains: Drains;
  readonly #logger: Logger;

  constructor(deps: { database: DataSource; drains: Drains; logger: Logger }) {
    this.#database = deps.database;
    this.#drains = deps.drains;
    this.#logger = deps.logger;
  }

  /**
   * When the last pull began that came to the end of what the upstream had to tell of a base; by PostgreSQL's clock. All
   * of it is in the log. Null while no webhook feeds the log.
   */
  async drainedAt(feedId: number): Promise<Date | null> {
    const [row] = await this.#database.query<{ at: Date | null }[]>(
      `SELECT last_drained_at AS at FROM webhooks WHERE feed_id = $1 AND state = 'active'`,
      [feedId],
    );
    return row?.at ?? null;
  }

  /**
   * Pulls now what there is to tell of a base, unless it is to be left alone after a failure.
   * @returns as `drainedAt`; null unless that began after the call
   */
  async drainNow(feedId: number): Promise<Date | null> {
    const [[row]] = await this.#database.query<[{ id: string; now: Date; isResting: boolean }[], number]>(
      `UPDATE webhooks SET drain_wanted_at = clock_timestamp() WHERE feed_id = $1 AND state = 'active'
       RETURNING id, clock_timestamp() AS now, coalesce(drain_not_before > clock_timestamp(), false) AS "isResting"`,
      [feedId],
    );
    if (!row || row.isResting) return null;
    await this.#drains.drain(row.id);
    const at = await this.drainedAt(feedId);
    return at !== null && at >= row.now ? at : null;
  }

  /** Why changes of a base can not be pulled at the moment, in words; null when nothing is known to be in the way. */
  async drainProblem(feedId: number): Promise<string | null> {
    const [row] = await this.#database.query<{ problem: string | null; isActive: boolean }[]>(
      `SELECT problem, state = 'active' AS "isActive" FROM webhooks WHERE feed_id = $1 AND state <> 'failed'
       ORDER BY state = 'active' DESC, generation DESC LIMIT 1`,
      [feedId],
    );
    if (row?.isActive) return row.problem;
    const why = row?.problem ? `: ${row.problem}` : '.';
    return `The webhook that tells of changes of the base is gone${why} Another is made as soon as a connection can.`;
  }

  /** Pulls what a feed lacks in the background, unless that was done, or asked for, a moment ago on any instance. */
  drainSoon(feedId: number): void {
    this.#database
      .query<[{ id: string }[], number]>(
        `UPDATE webhooks SET drain_wanted_at = clock_timestamp()
         WHERE feed_id = $1 AND state = 'active' AND drain_wanted_at IS NULL
           AND (last_drained_at IS NULL OR last_drained_at < clock_timestamp() - make_interval(secs => $2))
         RETURNING id`,
        [feedId, minAskedDrainSeconds],
      )
      .then(([rows]) => rows.forEach(({ id }) => this.#drains.kick(id)))
      .catch((error: unknown) => this.#logger.debug({ err: error, feedId }, 'a drain was not asked for'));
  }
}
