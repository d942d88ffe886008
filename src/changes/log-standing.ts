import { GatheredReads } from '../gathered-reads.ts';
import { headPlace } from './change-log.ts';
import type { Sql } from '../database/sql.ts';
import type { Position } from './position.ts';

/** By how much the clocks of this process and of the database may differ, in milliseconds. */
const clockSkewMs = 2_000;

/** Where a log has come to, from one snapshot. */
export interface LogStanding {
  /** The newest entry, or what was pruned last. */
  head: Position;
  /** When the newest news of tables or fields was logged; null when there is none. */
  schemaChangedAt: Date | null;
}

/** Where logs have come to, as whoever begins to follow one with a filter needs it: those who ask together share a statement. */
export class LogStandings {
  readonly #sql: Sql;
  readonly #standings = new GatheredReads<number, LogStanding>((feedIds) => this.#read(feedIds));

  constructor(deps: { database: Sql }) {
    this.#sql = deps.database;
  }

  async of(feedId: number): Promise<LogStanding> {
    const standing = await this.#standings.find(feedId);
    if (!standing) throw new Error('There is no such feed.');
    return standing;
  }

  async #read(feedIds: number[]): Promise<Map<number, LogStanding>> {
    const rows = await this.#sql.query<(Position & { id: number; schemaChangedAt: Date | null })[]>(
      `SELECT feed.id, place.*, news.at AS "schemaChangedAt"
       FROM change_feeds AS feed
       CROSS JOIN LATERAL (${headPlace}) AS place
       CROSS JOIN LATERAL (SELECT max(logged_at) AS at FROM changes WHERE feed_id = feed.id AND kind = 'schema') AS news
       WHERE feed.id = ANY($1)`,
      [feedIds],
    );
    return new Map(rows.map(({ id, schemaChangedAt, ...head }) => [id, { head, schemaChangedAt }]));
  }
}

/**
 * Whether a schema may be from before the newest news of it, also where another instance pulled that news.
 * @param readAt milliseconds since the epoch
 */
export function isOutdated(readAt: number, { schemaChangedAt }: LogStanding): boolean {
  return schemaChangedAt !== null && schemaChangedAt.getTime() > readAt - clockSkewMs;
}
