/** After this many slots of others in a row a waiting drain goes, and so does other background work: one slot in ten for each. */
export const slotsOfOthers = 9;

/**
 * The budget that all instances share: for each key the times of the latest sendings, and the end of a pause.
 *
 * A sliding log, never a bucket: a bucket that has filled up while idle lets twice the allowance into one window. All
 * times are the database's, read after the row is locked, so neither the clocks of the instances nor the wait for the
 * lock can shift the log. Times that lie ahead (the clock was set back) count for one window at most.
 *
 * Three classes want slots: people, drains, and other background work, in this order wherever three values stand in a
 * row. People go first, but for one slot in ten that is kept for drains and one for the other background work, while
 * any wait; without people, these two take turns. It does not matter in which instance somebody waits: who goes away
 * without a slot notes until when (`wanted_until`, a moment behind the next chance). While people are noted, others
 * leave free slots alone; while a class is noted that has been passed over for long enough (`passed_over`), one slot is
 * left for it. A note that nobody redeems ends by itself, so nothing is left unused for longer than that moment.
 *
 * And the background never takes the whole allowance at once: half a window's share lies between it and the sending
 * before, so that a person who comes just after waits little more than half a window. That costs no throughput, since
 * the slots come free again in the same rhythm.
 */
export const permitsSchema = `
CREATE TABLE rate_budgets (
  key text PRIMARY KEY,
  sent timestamptz[] NOT NULL DEFAULT '{}',
  paused_until timestamptz,
  wanted_until timestamptz[] NOT NULL DEFAULT '{-infinity,-infinity,-infinity}',
  passed_over int[] NOT NULL DEFAULT '{0,0,0}'
) WITH (fillfactor = 50);

CREATE FUNCTION take_permits(budget text, wanted int[], calls int, window_ms int)
RETURNS TABLE (granted int[], granted_at timestamptz, wait_ms double precision[], paused boolean)
LANGUAGE plpgsql AS $$
DECLARE
  span interval := make_interval(secs => window_ms / 1000.0);
  -- Below ten milliseconds a pace is not worth the round trips.
  pace interval := CASE WHEN span >= interval '10 ms' * 2 * calls THEN span / (2 * calls) ELSE '0' END;
  -- How late somebody who sleeps until his chance may come and still find it.
  grace interval := '50 ms';
  -- When to look again at slots that are kept for others who are about to come.
  look_again_ms int := 20;
  recent timestamptz[];
  pause timestamptz;
  noted timestamptz[];
  noted_before timestamptz[];
  passed int[];
  is_paced boolean;
  is_kept boolean[] := '{false,false,false}';
  kept int := 0;
  next_class int;
  base_ms double precision := 0;
BEGIN
  INSERT INTO rate_budgets (key) VALUES (budget) ON CONFLICT (key) DO NOTHING;
  SELECT b.sent, b.paused_until, b.wanted_until, b.passed_over INTO recent, pause, noted_before, passed
    FROM rate_budgets b WHERE b.key = budget FOR UPDATE;
  granted_at := clock_timestamp();
  granted := '{0,0,0}';
  paused := coalesce(pause > granted_at, false);
  IF paused THEN
    wait_ms := array_fill(extract(epoch FROM pause - granted_at)::float8 * 1000, ARRAY[3]);
    RETURN NEXT;
    RETURN;
  END IF;
  -- A note that ends with this chance is taken for that of those who have come for it; one that lies further ahead than
  -- any chance was written before the clock was set back.
  noted := noted_before;
  FOR class IN 1..3 LOOP
    IF noted[class] <= granted_at + (CASE WHEN wanted[class] > 0 THEN grace ELSE '0' END)
        OR noted[class] > granted_at + span + grace THEN
      noted[class] := '-infinity';
    END IF;
  END LOOP;
  recent := ARRAY(SELECT least(at, granted_at) FROM unnest(recent) AS at WHERE at > granted_at - span AND at < granted_at + span ORDER BY at);
  is_paced := coalesce(recent[cardinality(recent)] > granted_at - pace, false);
  WHILE cardinality(recent) + kept < calls LOOP
    next_class := (SELECT class FROM generate_series(2, 3) AS class
      WHERE passed[class] >= ${slotsOfOthers} AND NOT is_kept[class]
        AND (granted[class] < wanted[class] OR noted[class] > granted_at)
      ORDER BY class LIMIT 1);
    IF next_class IS NOT NULL AND granted[next_class] = wanted[next_class] THEN
      -- Its turn has come, and it waits in another instance.
      is_kept[next_class] := true;
      kept := kept + 1;
      CONTINUE;
    END IF;
    IF next_class IS NULL AND granted[1] < wanted[1] THEN
      next_class := 1;
    ELSIF next_class IS NULL AND noted[1] < granted_at AND NOT is_paced THEN
      next_class := (SELECT class FROM generate_series(2, 3) AS class
        WHERE granted[class] < wanted[class] ORDER BY passed[class] DESC, class LIMIT 1);
    END IF;
    EXIT WHEN next_class IS NULL;
    granted[next_class] := granted[next_class] + 1;
    FOR class IN 2..3 LOOP
      passed[class] := CASE WHEN class = next_class THEN 0 ELSE least(passed[class] + 1, ${slotsOfOthers}) END;
    END LOOP;
    recent := recent || granted_at;
    is_paced := pace > '0';
  END LOOP;
  IF cardinality(recent) >= calls THEN
    base_ms := greatest(0, extract(epoch FROM recent[cardinality(recent) - calls + 1] + span - granted_at) * 1000);
  ELSIF kept > 0 THEN
    base_ms := look_again_ms;
  END IF;
  wait_ms := array_fill(base_ms, ARRAY[3]);
  FOR class IN 1..3 LOOP
    IF class > 1 AND (passed[class] < ${slotsOfOthers} OR granted[class] = wanted[class]) THEN
      wait_ms[class] := greatest(
        base_ms,
        extract(epoch FROM recent[cardinality(recent)] + pace - granted_at) * 1000,
        CASE WHEN noted[1] > granted_at THEN look_again_ms ELSE 0 END
      );
    END IF;
    IF granted[class] < wanted[class] THEN
      noted[class] := greatest(noted[class], granted_at + make_interval(secs => wait_ms[class] / 1000) + grace);
    END IF;
  END LOOP;
  IF granted <> '{0,0,0}' OR noted <> noted_before THEN
    UPDATE rate_budgets b SET sent = recent, paused_until = NULL, wanted_until = noted, passed_over = passed
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
DROP FUNCTION take_permits(text, int[], int, int);
DROP TABLE rate_budgets;
`;
