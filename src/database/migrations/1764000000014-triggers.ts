import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What reacts to changes, and what it has told of them or has still to tell. */
export class Triggers1764000000014 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE triggers (
        id uuid PRIMARY KEY,
        name text NOT NULL,
        connection_id integer NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
        base_id text NOT NULL,
        table_id text NOT NULL,
        -- created, updated, deleted; null for all.
        kinds text[],
        field_ids text[],
        -- As it was given, and as it was understood: see cell-filter.ts.
        filter jsonb,
        cell_filter jsonb,
        endpoint_url text,
        created_by text NOT NULL,
        state text NOT NULL CHECK (state IN ('active', 'paused')),
        paused_because text,
        problem text,
        -- All entries of the feed's log up to here have been looked at.
        feed_id integer NOT NULL REFERENCES change_feeds (id),
        generation integer NOT NULL,
        payload integer NOT NULL,
        ordinal integer NOT NULL,
        -- When it was last seen to that the connection may follow the base and that a webhook lives.
        checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
      );
      CREATE INDEX triggers_by_connection ON triggers (connection_id);

      CREATE TABLE trigger_secrets (
        trigger_id uuid PRIMARY KEY REFERENCES triggers (id) ON DELETE CASCADE,
        connection_id integer NOT NULL,
        secret text NOT NULL,
        previous_secret text,
        previous_until timestamptz
      );

      -- Apart from the trigger, whose row the matcher locks, so that no delivery waits for it.
      CREATE TABLE trigger_health (
        trigger_id uuid PRIMARY KEY REFERENCES triggers (id) ON DELETE CASCADE,
        failures_in_row integer NOT NULL DEFAULT 0,
        failing_since timestamptz,
        -- After failures in a row nothing is tried before.
        rest_until timestamptz,
        -- Since when all that waits is to be tried at once; null once it is.
        hurry_since timestamptz
      );

      CREATE TABLE trigger_deliveries (
        -- Rises within a trigger in the order of the log.
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        trigger_id uuid NOT NULL REFERENCES triggers (id) ON DELETE CASCADE,
        event_id text NOT NULL,
        -- Empty for what is about no single record.
        record_id text NOT NULL,
        type text NOT NULL,
        body text NOT NULL,
        status text NOT NULL CHECK (status IN ('WAITING', 'DELIVERED', 'PARKED')),
        attempts integer NOT NULL DEFAULT 0,
        -- Of these, the ones before its three days began anew.
        attempts_before integer NOT NULL DEFAULT 0,
        -- Of those three days. By the instances' clocks, as all times here but those of leases.
        first_attempt_at timestamptz,
        next_attempt_at timestamptz NOT NULL,
        last_attempt_at timestamptz,
        lease_holder uuid,
        lease_until timestamptz,
        http_status integer,
        answer text,
        duration_ms integer,
        error_code text,
        error_message text,
        created_at timestamptz NOT NULL,
        finished_at timestamptz,
        UNIQUE (trigger_id, event_id)
      );
      CREATE INDEX trigger_deliveries_due ON trigger_deliveries (trigger_id, next_attempt_at, id) WHERE status = 'WAITING';
      CREATE INDEX trigger_deliveries_of_record ON trigger_deliveries (trigger_id, record_id, id) WHERE status = 'WAITING';
      CREATE INDEX trigger_deliveries_leased ON trigger_deliveries (trigger_id, lease_until) WHERE lease_until IS NOT NULL AND status = 'WAITING';
      CREATE INDEX trigger_deliveries_listed ON trigger_deliveries (trigger_id, id);
      CREATE INDEX trigger_deliveries_by_age ON trigger_deliveries (status, finished_at) WHERE finished_at IS NOT NULL;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE trigger_deliveries, trigger_health, trigger_secrets, triggers');
  }
}
