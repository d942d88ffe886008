/** How the budget reaches its database: text with $1, $2 … and the rows it answers. */
export type Sql = (text: string, params: unknown[]) => Promise<Record<string, unknown>[]>;

/** After this many people in a row a waiting background call goes, which gives it one slot in ten. */
export const peopleInARow = 9;

/**
 * The budget that all instances share: for each key the times of the latest sendings, and the end of a pause.
 *
 * A sliding log, never a bucket: a bucket that has filled up while idle lets twice the allowance into one window. All
 * times are the database's, read after the row is locked, so neither the clocks of the instances nor the wait for the
 * lock can shift the log. Times that lie ahead (the clock was set back) count for one window at most.
 *
 * People go before background work, in whichever instances they wait: who leaves people waiting notes until when
 * (`people_until`, a moment behind their next chance), and till then the background leaves free slots alone, but for its
 * one in ten. And the background never takes the whole allowance at once: half a window's share lies between it and the
 * sending before, so that a person who comes just after waits little more than half a window. That costs no throughput,
 * since the slots come free again in the same rhythm.
 */
export const permitsSchema = `
CREATE TABLE rate_budgets (
  key text PRIMARY KEY,
  sent timestamptz[] NOT NULL DEFAULT '{}',
  paused_until timestamptz,
  people_until timestamptz,
  people_in_a_row int NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE FUNCTION take_permits(budget text, people int, background int, calls int, window_ms int)
RETURNS TABLE (
  to_people int, to_background int, granted_at timestamptz,
  wait_ms double precision, background_wait_ms double precision, paused boolean
)
LANGUAGE plpgsql AS $$
DECLARE
  span interval := make_interval(secs => window_ms / 1000.0);
  -- Below ten milliseconds a pace is not worth the round trips.
  pace interval := CASE WHEN span >= interval '10 ms' * 2 * calls THEN span / (2 * calls) ELSE '0' END;
  -- How late somebody who sleeps until his chance may come and still find it.
  grace interval := '50 ms';
  is_paced boolean;
  pause timestamptz;
  recent timestamptz[];
  people_wait_until timestamptz;
  noted_until timestamptz;
  in_a_row int;
BEGIN
  INSERT INTO rate_budgets (key) VALUES (budget) ON CONFLICT (key) DO NOTHING;
  SELECT b.sent, b.paused_until, b.people_until, b.people_in_a_row INTO recent, pause, noted_until, in_a_row
    FROM rate_budgets b WHERE b.key = budget FOR UPDATE;
  granted_at := clock_timestamp();
  to_people := 0;
  to_background := 0;
  paused := coalesce(pause > granted_at, false);
  IF paused THEN
    wait_ms := extract(epoch FROM pause - granted_at) * 1000;
    background_wait_ms := wait_ms;
    RETURN NEXT;
    RETURN;
  END IF;
  -- A note that ends with this chance is taken for that of the people who have come for it; one that lies further
  -- ahead than any chance was written before the clock was set back.
  people_wait_until := CASE WHEN noted_until > granted_at + CASE WHEN people > 0 THEN grace ELSE '0' END
    AND noted_until <= granted_at + span + grace THEN noted_until END;
  recent := ARRAY(SELECT least(at, granted_at) FROM unnest(recent) AS at WHERE at > granted_at - span AND at < granted_at + span ORDER BY at);
  is_paced := coalesce(recent[cardinality(recent)] > granted_at - pace, false);
  WHILE cardinality(recent) < calls LOOP
    IF to_background < background AND (in_a_row >= ${peopleInARow}
        OR (to_people = people AND people_wait_until IS NULL AND NOT is_paced)) THEN
      to_background := to_background + 1;
      in_a_row := 0;
    ELSIF to_people < people THEN
      to_people := to_people + 1;
      in_a_row := least(in_a_row + 1, ${peopleInARow});
    ELSE
      EXIT;
    END IF;
    recent := recent || granted_at;
    is_paced := pace > '0';
  END LOOP;
  wait_ms := 0;
  IF cardinality(recent) >= calls THEN
    wait_ms := greatest(0, extract(epoch FROM recent[cardinality(recent) - calls + 1] + span - granted_at) * 1000);
  END IF;
  IF to_people < people THEN
    people_wait_until := greatest(people_wait_until, granted_at + make_interval(secs => wait_ms / 1000) + grace);
  END IF;
  background_wait_ms := greatest(
    wait_ms,
    extract(epoch FROM recent[cardinality(recent)] + pace - granted_at) * 1000,
    -- Slots are kept for people who are about to come: look again soon.
    CASE WHEN people_wait_until IS NULL THEN 0 ELSE 20 END
  );
  IF to_people + to_background > 0 OR people_wait_until IS DISTINCT FROM noted_until THEN
    UPDATE rate_budgets b
      SET sent = recent, paused_until = NULL, people_until = people_wait_until, people_in_a_row = in_a_row
      WHERE b.key = budget;
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
DROP FUNCTION take_permits(text, int, int, int, int);
DROP TABLE rate_budgets;
`;

export interface Grant {
  /** Permissions for people, 0 up to what was wanted. */
  granted: number;
  /** Permissions for background work, 0 up to what was wanted. */
  grantedToBackground: number;
  /** When, by the database's clock to the microsecond; names a permission when it is given back. */
  grantedAt: string;
  /** Until the next permission can be had; 0 when that is now. */
  waitMs: number;
  /** The same for background work, which is held back where people wait, here or elsewhere. */
  backgroundWaitMs: number;
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

  /** @param people How many people wait for a permission in this process. @param background How much other work does. */
  async take(key: string, people: number, background = 0): Promise<Grant> {
    const [row] = await this.#sql(
      `SELECT to_people, to_background, granted_at::text AS granted_at, wait_ms, background_wait_ms, paused
       FROM take_permits($1, $2, $3, $4, $5)`,
      [key, people, background, this.calls, this.windowMs],
    );
    return {
      granted: Number(row?.to_people ?? 0),
      grantedToBackground: Number(row?.to_background ?? 0),
      grantedAt: String(row?.granted_at),
      waitMs: Number(row?.wait_ms ?? this.windowMs),
      backgroundWaitMs: Number(row?.background_wait_ms ?? this.windowMs),
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
