import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What triggers carry out themselves, and what they wrote by it, by which a loop is recognised. */
export class TriggerActions1764000000015 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      -- With an endpoint or with an action, never both.
      ALTER TABLE triggers ADD COLUMN action jsonb, ADD CHECK ((endpoint_url IS NULL) <> (action IS NULL));

      ALTER TABLE trigger_deliveries
        -- The triggers whose actions led to the change, the first one first.
        ADD COLUMN chain uuid[] NOT NULL DEFAULT '{}',
        -- Counts the writes of an action that are known to have had no effect: each further one has a key of its own.
        ADD COLUMN action_round integer NOT NULL DEFAULT 0,
        -- When a write began of which it is not known yet what came of it.
        ADD COLUMN open_since timestamptz,
        DROP CONSTRAINT trigger_deliveries_status_check,
        ADD CONSTRAINT trigger_deliveries_status_check CHECK (status IN ('WAITING', 'DELIVERED', 'PARKED', 'STOPPED'));

      CREATE TABLE trigger_writes (
        delivery_id bigint PRIMARY KEY REFERENCES trigger_deliveries (id) ON DELETE CASCADE,
        trigger_id uuid NOT NULL,
        chain uuid[] NOT NULL,
        base_id text NOT NULL,
        table_id text NOT NULL,
        kind text NOT NULL,
        -- Null for a creation whose answer has not come.
        record_id text,
        field_ids text[] NOT NULL,
        started_at timestamptz NOT NULL,
        finished_at timestamptz,
        -- The action with its values: what is asked for again while it is not known what came of it.
        filled json NOT NULL,
        -- The change that was taken for it.
        seen_feed integer,
        seen_generation integer,
        seen_payload integer,
        seen_ordinal integer
      );
      CREATE INDEX trigger_writes_by_record ON trigger_writes (base_id, table_id, record_id);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE trigger_writes;
      DELETE FROM trigger_deliveries WHERE status = 'STOPPED';
      ALTER TABLE trigger_deliveries DROP COLUMN chain, DROP COLUMN action_round, DROP COLUMN open_since,
        DROP CONSTRAINT trigger_deliveries_status_check,
        ADD CONSTRAINT trigger_deliveries_status_check CHECK (status IN ('WAITING', 'DELIVERED', 'PARKED'));
      DELETE FROM triggers WHERE action IS NOT NULL;
      ALTER TABLE triggers DROP COLUMN action;
    `);
  }
}
