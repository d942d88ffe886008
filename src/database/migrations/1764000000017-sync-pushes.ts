import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What was changed in target tables, what of it is on its way to the upstream, and what met a change of the other side. */
export class SyncPushes1764000000017 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      -- Every insertion, update and deletion in a target, in the transaction that made it. Without a reference to the sync,
      -- whose row the check would lock: writers of the target never wait for a sync.
      CREATE TABLE sync_outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        sync_id uuid NOT NULL,
        -- The primary key before and after, each part as text: null for insertions, and for deletions. Both are null when
        -- the whole table was emptied by TRUNCATE.
        old_key text[],
        new_key text[]
      );
      CREATE INDEX sync_outbox_by_sync ON sync_outbox (sync_id, id);

      -- What has to be looked at because its row was changed: by its record or, where it has none yet, by its row.
      CREATE TABLE sync_pending (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        sync_id uuid NOT NULL REFERENCES syncs (id) ON DELETE CASCADE,
        record_id text,
        row_key text[],
        -- Whether the row was seen being deleted, or its key has become another's: that it is not there says nothing.
        is_deleted boolean NOT NULL DEFAULT false,
        -- Whether it is sent in a call of its own, because a ten that it was in was refused.
        alone boolean NOT NULL DEFAULT false,
        next_attempt_at timestamptz,
        -- Why the upstream does not take it; it waits for the next change of its row then.
        code text,
        message text,
        parked_at timestamptz,
        CHECK ((record_id IS NULL) <> (row_key IS NULL))
      );
      CREATE UNIQUE INDEX sync_pending_by_record ON sync_pending (sync_id, record_id) WHERE record_id IS NOT NULL;
      CREATE UNIQUE INDEX sync_pending_by_row ON sync_pending (sync_id, row_key) WHERE row_key IS NOT NULL;
      CREATE INDEX sync_pending_in_order ON sync_pending (sync_id, id) WHERE parked_at IS NULL;

      -- What was sent to the upstream, until the log has shown it.
      CREATE TABLE sync_writes (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        sync_id uuid NOT NULL REFERENCES syncs (id) ON DELETE CASCADE,
        -- What leaves in one call; also the idempotency key of the write.
        batch uuid NOT NULL,
        kind text NOT NULL CHECK (kind IN ('create', 'update', 'delete')),
        -- Null for creations without a known outcome.
        record_id text,
        -- Of a creation: its row; null once that was deleted.
        row_key text[],
        -- By field id, null for cells that are emptied.
        cells jsonb NOT NULL,
        -- What the upstream was believed to hold there before.
        believed jsonb NOT NULL DEFAULT '{}',
        -- The same cells as the upstream has answered that it keeps them.
        answered jsonb,
        -- sending until it is answered, then written or unknown. What had no effect is deleted.
        state text NOT NULL DEFAULT 'sending' CHECK (state IN ('sending', 'written', 'unknown')),
        -- Whether the log has shown it before it was answered.
        seen boolean NOT NULL DEFAULT false,
        -- By PostgreSQL's clock, as the as_of of syncs.
        sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ended_at timestamptz
      );
      CREATE INDEX sync_writes_by_sync ON sync_writes (sync_id, id);
      CREATE INDEX sync_writes_by_record ON sync_writes (sync_id, record_id);
      CREATE INDEX sync_writes_by_row ON sync_writes (sync_id, row_key) WHERE row_key IS NOT NULL;

      -- What both sides had changed, and who won.
      CREATE TABLE sync_conflicts (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        sync_id uuid NOT NULL REFERENCES syncs (id) ON DELETE CASCADE,
        kind text NOT NULL CHECK (kind IN ('cell', 'deleted_by_omnera', 'deleted_by_calendly')),
        record_id text NOT NULL,
        -- Null where one side deleted what the other had changed.
        field_id text,
        field_name text,
        calendly_value jsonb,
        omnera_value jsonb,
        winner text NOT NULL CHECK (winner IN ('calendly', 'omnera')),
        at timestamptz NOT NULL
      );
      CREATE INDEX sync_conflicts_by_sync ON sync_conflicts (sync_id, id);
      CREATE INDEX sync_conflicts_by_age ON sync_conflicts (at);
    `);
    // The function names its tables with the schema that they are in, since it must not depend on the caller's search path.
    await runner.query(`
      DO $do$ BEGIN EXECUTE format($function$
        CREATE FUNCTION sync_capture() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
          SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' AS $body$
        DECLARE
          sync uuid := TG_ARGV[0];
          columns text[] := TG_ARGV[1:];
          old_row jsonb;
          new_row jsonb;
        BEGIN
          IF NOT EXISTS (SELECT 1 FROM %1$I.syncs WHERE id = sync AND direction <> 'pull') THEN RETURN NULL; END IF;
          IF TG_OP IN ('UPDATE', 'DELETE') THEN old_row := to_jsonb(OLD); END IF;
          IF TG_OP IN ('UPDATE', 'INSERT') THEN new_row := to_jsonb(NEW); END IF;
          INSERT INTO %1$I.sync_outbox (sync_id, old_key, new_key) VALUES (sync,
            CASE WHEN old_row IS NOT NULL THEN ARRAY(SELECT old_row ->> name FROM unnest(columns) WITH ORDINALITY AS c(name, place) ORDER BY place) END,
            CASE WHEN new_row IS NOT NULL THEN ARRAY(SELECT new_row ->> name FROM unnest(columns) WITH ORDINALITY AS c(name, place) ORDER BY place) END);
          PERFORM pg_notify('sync_outbox', sync::text);
          RETURN NULL;
        END $body$
      $function$, current_schema()); END $do$`);
    await runner.query('REVOKE EXECUTE ON FUNCTION sync_capture() FROM PUBLIC');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP FUNCTION sync_capture() CASCADE');
    await runner.query('DROP TABLE sync_conflicts, sync_writes, sync_pending, sync_outbox');
  }
}
