import type { Feed } from '../changes/feed.ts';
import type { Sql } from '../database/sql.ts';
import type { Clock } from '../clock.ts';

/** How exactly the last use of a feed is known: it is not written more often than this. */
const notedEverySeconds = 600;

/** Somebody listens to these feeds, or asked what is in them, or saw to their webhooks. */
export async function noteUse(sql: Sql, feedIds: readonly number[]): Promise<void> {
  if (feedIds.length === 0) return;
  await sql.query(
    `UPDATE change_feeds SET used_at = clock_timestamp()
     WHERE id IN (SELECT id FROM change_feeds WHERE id = ANY($1) AND used_at < clock_timestamp() - make_interval(secs => $2)
                  ORDER BY id FOR NO KEY UPDATE)`,
    [feedIds, notedEverySeconds],
  );
}

/** Notes the use of feeds, however many come to one at once, with one statement now and then. */
export class FeedUses {
  readonly #sql: Sql;
  readonly #clock: Clock;
  readonly #writing = new Map<number, Promise<void>>();

  constructor(deps: { database: Sql; clock: Clock }) {
    this.#sql = deps.database;
    this.#clock = deps.clock;
  }

  /** Resolves when the use is written, by whomever; a failure is told to all who wait for it. */
  async note({ id, usedAt }: Pick<Feed, 'id' | 'usedAt'>): Promise<void> {
    if (this.#clock.now() - usedAt.getTime() <= notedEverySeconds * 1_000) return;
    const underWay = this.#writing.get(id);
    if (underWay) return underWay;
    const written = noteUse(this.#sql, [id]).finally(() => this.#writing.delete(id));
    this.#writing.set(id, written);
    await written;
  }
}

/**
 * Gives up the webhooks of feeds that nobody used for so long. The next use makes a new one, and the time between is
 * told as a gap.
 * @returns their ids
 */
export async function endIdleWebhooks(sql: Sql, idleDays: number): Promise<string[]> {
  const [rows] = await sql.query<[{ id: string }[], number]>(
    `UPDATE webhooks AS w
     SET state = CASE WHEN w.state = 'lost' THEN 'deleted' ELSE 'ending' END, ended_at = clock_timestamp(), check_lease_until = NULL,
         drain_holder = NULL, drain_lease_until = NULL, problem = 'Nobody used it for ' || $1::integer || ' days.'
     WHERE w.id IN (
       SELECT unused.id FROM webhooks AS unused JOIN change_feeds AS f ON f.id = unused.feed_id
       WHERE unused.state IN ('active', 'ready', 'lost') AND f.used_at < clock_timestamp() - make_interval(days => $1::integer)
       ORDER BY unused.id FOR UPDATE OF unused)
     RETURNING w.id`,
    [idleDays],
  );
  return rows.map(({ id }) => id);
}
