/**
 * A time up to which a log was known to be whole, as a value of SQL for whoever writes it down: should PostgreSQL have died
 * in between, the log may be back where it was before the pull that the time is of, and its webhook's row then says so.
 * @param at parameter with the time
 * @param feedId column with the feed
 */
export const stillDrainedAt = (at: string, feedId: string): string =>
  `least(${at}::timestamptz, (SELECT last_drained_at FROM webhooks WHERE feed_id = ${feedId} AND state = 'active'))`;
