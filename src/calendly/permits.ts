/** How the budget reaches its database: text with $1, $2 … and the rows it answers. */
export type Sql = (text: string, params: unknown[]) => Promise<Record<string, unknown>[]>;

/**
 * The budget that all instances share: for each key the times of the latest sendings, and the end of a pause.
 *
 * A sliding log, never a bucket: a bucket that has filled up while idle lets twice the allowance into one window. All
 * times are the database's, read after the row is locked, so neither the clocks of the instances nor the wait for the
 * lock can shift the log. Times that lie ahead (the clock was set back) count for one window at most.
 */
export const permitsSchema = `
CREATE TABLE rate_budgets (
  key text PRIMARY KEY,
  sent timestamptz[] NOT NULL DEFAULT '{}',
  paused_until timestamptz
) WITH (fillfactor = 50);

CREATE FUNCTION take_permits(budget text, wanted int, calls int, window_ms int)
RETURNS TABLE (granted int, granted_at timestamptz, wait_ms double precision, paused boolean)
LANGUAGE plpgsql AS $$
DECLARE
  span interval := make_interval(secs => window_ms / 1000.0);
  pause timestamptz;
  recent timestamptz[];
BEGIN
  INSERT INTO rate_budgets (key) VALUES (budget) ON CONFLICT (key) DO NOTHING;
  SELECT b.sent, b.paused_until INTO recent, pause FROM rate_budgets b WHERE b.key = budget FOR UPDATE;
  granted_at := clock_timestamp();
  granted := 0;
  paused := coalesce(pause > granted_at, false);
  IF paused THEN
    wait_ms := extract(epoch FROM pause - granted_at) * 1000;
    RETURN NEXT;
    RETURN;
  END IF;
  recent := ARRAY(SELECT least(at, granted_at) FROM unnest(recent) AS at WHERE at > granted_at - span AND at < granted_at + span ORDER BY at);
  granted := greatest(0, least(wanted, calls - cardinality(recent)));
  IF granted > 0 THEN
    recent := recent || array_fill(granted_at, ARRAY[granted]);
    UPDATE rate_budgets b SET sent = recent, paused_until = NULL WHERE b.key = budget;
  END IF;
  wait_ms := 0;
  IF cardinality(recent) >= calls THEN
    wait_ms := greatest(0, extract(epoch FROM recent[cardinality(recent) - calls + 1] + span - granted_at) * 1000);
  END IF;
  RETURN NEXT;
END
$$;

CREATE FUNCTION give_back_permit(budget text, stamp timestamptz)
RETURNS void LANGUAGE sql AS $$
  UPDATE rate_budgets b
  SET sent = b.sent[:array_position(b.sent, stamp) - 1] || b.sent[array_position(b.sent, stamp) + 1:]
  WHERE b.key = budget AND stamp = ANY (b.sent)
$$;

CREATE FUNCTION restamp_permit(budget text, stamp timestamptz)
RETURNS void LANGUAGE sql AS $$
  UPDATE rate_budgets b
  SET sent = b.sent[:array_position(b.sent, stamp) - 1] || b.sent[array_position(b.sent, stamp) + 1:] || clock_timestamp()
  WHERE b.key = budget AND stamp = ANY (b.sent)
$$;

CREATE FUNCTION pause_budget(budget text, pause_ms double precision)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO rate_budgets AS b (key, paused_until)
  VALUES (budget, clock_timestamp() + make_interval(secs => pause_ms / 1000.0))
  ON CONFLICT (key) DO UPDATE SET paused_until = greatest(b.paused_until, EXCLUDED.paused_until)
$$;
`;

/** Undoes `permitsSchema`. */
export const permitsSchemaDown = `
DROP FUNCTION pause_budget(text, double precision);
DROP FUNCTION restamp_permit(text, timestamptz);
DROP FUNCTION give_back_permit(text, timestamptz);
DROP FUNCTION take_permits(text, int, int, int);
DROP TABLE rate_budgets;
`;

export interface Grant {
  /** Permissions granted, 0 up to what was wanted. */
  granted: number;
  /** When, by the database's clock to the microsecond; names a permission when it is given back. */
  grantedAt: string;
  /** Until the next permission can be had; 0 when that is now. */
  waitMs: number;
  /** Whether `waitMs` is a pause that the upstream imposed. */
  paused: boolean;
}

/** Asks the shared budget. Keys are `base:<id>`, or `connection:<id>` for calls without a base. */
export class Permits {
  readonly #sql: Sql;
  readonly calls: number;
  readonly windowMs: number;

  constructor(sql: Sql, limit: { calls: number; windowMs: number }) {
    this.#sql = sql;
    this.calls = limit.calls;
    this.windowMs = limit.windowMs;
  }

  async take(key: string, wanted: number): Promise<Grant> {
    const [row] = await this.#sql(
      'SELECT granted, granted_at::text AS granted_at, wait_ms, paused FROM take_permits($1, $2, $3, $4)',
      [key, wanted, this.calls, this.windowMs],
    );
    return {
      granted: Number(row?.granted ?? 0),
      grantedAt: String(row?.granted_at),
      waitMs: Number(row?.wait_ms ?? this.windowMs),
      paused: row?.paused === true,
    };
  }

  /** For a permission that was not used. */
  async giveBack(key: string, grantedAt: string): Promise<void> {
    await this.#sql('SELECT give_back_permit($1, $2::timestamptz)', [key, grantedAt]);
  }

  /** For a permission that was used later than it was granted: it counts from now. */
  async restamp(key: string, grantedAt: string): Promise<void> {
    await this.#sql('SELECT restamp_permit($1, $2::timestamptz)', [key, grantedAt]);
  }

  /**
   * Forgets the budgets that nobody has used for an hour. Nobody may be granted anything meanwhile, which the lock sees
   * to: a call that finds its row gone would not be on the log.
   */
  async prune(): Promise<void> {
    await this.#sql(
      `DO $$
       BEGIN
         SET LOCAL lock_timeout = '1s';
         LOCK TABLE rate_budgets IN SHARE ROW EXCLUSIVE MODE;
         DELETE FROM rate_budgets
         WHERE coalesce(paused_until, '-infinity') < clock_timestamp()
           AND NOT EXISTS (SELECT FROM unnest(sent) AS at WHERE at > clock_timestamp() - interval '1 hour');
       END
       $$`,
      [],
    );
  }

  /** Nothing is granted for `ms`, to anyone; a longer pause that runs already stays. */
  async pause(key: string, ms: number): Promise<void> {
    await this.#sql('SELECT pause_budget($1, $2)', [key, ms]);
  }
}
