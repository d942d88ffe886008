import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Tables that are kept in step with a table of the upstream, and what the upstream's records were when last told. */
export class Syncs1764000000016 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE syncs (
        id uuid PRIMARY KEY,
        connection_id integer NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
        base_id text NOT NULL,
        table_id text NOT NULL,
        direction text NOT NULL CHECK (direction IN ('pull', 'push', 'two_way')),
        -- Who wins where both sides changed a cell.
        conflicts text NOT NULL CHECK (conflicts IN ('calendly_wins', 'omnera_wins')),
        target_schema text NOT NULL,
        target_table text NOT NULL,
        -- Whether the target was made by us, and follows the upstream's fields.
        owned boolean NOT NULL,
        -- The primary key of the target, in its order.
        key_columns text[] NOT NULL,
        key_types text[] NOT NULL,
        -- PostgreSQL's number of the table when it was last worked at: another one means another table of that name.
        target_oid oid,
        -- [{fieldId, fieldName, fieldType, valueType, computed, column, columnType, goneAt}]
        columns jsonb NOT NULL,
        state text NOT NULL CHECK (state IN ('filling', 'live', 'paused')),
        paused_because text,
        problem text,
        -- What keeps it from going on at the moment, in words, while it tries again and again.
        waits_for text,
        -- All entries of the feed's log up to here have been applied.
        feed_id integer NOT NULL REFERENCES change_feeds (id),
        generation integer NOT NULL,
        payload integer NOT NULL,
        ordinal integer NOT NULL,
        -- The copy has everything that the upstream had at this time; null before the first fill is done.
        as_of timestamptz,
        -- What each field was like when its cells were read, by id (see src/records/copies/field-shapes.ts): set when a run
        -- ends, to what the fields were like when it began. Cells of a field that has become another since are not read.
        field_shapes jsonb,
        -- Tells them apart without reading them.
        shapes_key text GENERATED ALWAYS AS (md5(field_shapes::text)) STORED,
        -- The same of the run that is under way.
        run_shapes jsonb,
        -- The reading of the whole table that is under way (run_kind 'fill' or 'reconcile'), or the last one.
        run integer NOT NULL DEFAULT 0,
        run_kind text CHECK (run_kind IN ('fill', 'reconcile')),
        -- What made it necessary; null for a fill.
        run_because text,
        run_started_at timestamptz,
        run_finished_at timestamptz,
        run_expected integer,
        -- Upstream calls of the run.
        run_calls integer NOT NULL DEFAULT 0,
        -- Why the whole table has to be read again. Until that is done, 'CHANGES_LOST' and 'FIELDS_CHANGED' keep as_of where it is.
        reread_because text CHECK (reread_because IN ('CHANGES_LOST', 'FIELDS_CHANGED', 'BY_HAND', 'DUE')),
        -- Somebody has seen that much of the table is missing upstream, and lets that be deleted here.
        loss_accepted boolean NOT NULL DEFAULT false,
        -- Fields have changed since the columns were made.
        schema_outdated boolean NOT NULL DEFAULT false,
        -- Columns have changed since all rows were written.
        rows_outdated boolean NOT NULL DEFAULT false,
        -- When a row of the target was last written.
        changed_at timestamptz,
        -- Records that the last reconcile found to differ.
        drift_found integer,
        -- The instance that works at it, by PostgreSQL's clock.
        holder uuid,
        lease_until timestamptz,
        -- Raised whenever the sync changes hands: what was read under another number is not worth anything.
        lease_number integer NOT NULL DEFAULT 0,
        checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        created_by text NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        UNIQUE (target_schema, target_table)
      );
      CREATE INDEX syncs_by_connection ON syncs (connection_id);
      CREATE INDEX syncs_by_table ON syncs (base_id, table_id);

      -- A run reads the table in slices, by a number from 0 to slices_of that is made of when each record was created.
      CREATE TABLE sync_slices (
        sync_id uuid NOT NULL REFERENCES syncs (id) ON DELETE CASCADE,
        run integer NOT NULL,
        -- From (inclusive) to (exclusive) of 0 to slices_of.
        slice_from integer NOT NULL,
        slice_to integer NOT NULL,
        slices_of integer NOT NULL,
        records integer NOT NULL DEFAULT 0,
        done boolean NOT NULL DEFAULT false,
        PRIMARY KEY (sync_id, run, slice_from)
      );

      -- The upstream's records as last told, whole: the typed columns of the target are made of them.
      CREATE TABLE copied_records (
        sync_id uuid NOT NULL REFERENCES syncs (id) ON DELETE CASCADE,
        record_id text NOT NULL,
        created_time timestamptz NOT NULL,
        -- By field id, in the format of the record endpoints; empty ones are missing.
        cells jsonb NOT NULL,
        -- The last run that read it.
        seen_run integer NOT NULL DEFAULT 0,
        -- The last entry of the log that was applied to it.
        generation integer,
        payload integer,
        ordinal integer,
        -- The primary key of its row in the target, each part as text; null while it has none.
        row_key text[],
        PRIMARY KEY (sync_id, record_id)
      );
      CREATE INDEX copied_records_in_order ON copied_records (sync_id, created_time, record_id);
      CREATE UNIQUE INDEX copied_records_by_row ON copied_records (sync_id, row_key) WHERE row_key IS NOT NULL;

      -- When this server last wrote to a base that has syncs: a copy that is older may lack what we wrote.
      CREATE TABLE base_writes (
        base_id text PRIMARY KEY,
        written_at timestamptz NOT NULL
      );

      -- Records whose row the target refused. The rest flows on.
      CREATE TABLE sync_parked (
        sync_id uuid NOT NULL REFERENCES syncs (id) ON DELETE CASCADE,
        record_id text NOT NULL,
        code text NOT NULL,
        message text NOT NULL,
        -- What the target named; null where it did not.
        column_name text,
        constraint_name text,
        -- The row that should be gone; null where a row should be written.
        row_key text[],
        parked_at timestamptz NOT NULL,
        PRIMARY KEY (sync_id, record_id)
      );

      -- Tables that the server makes stand here, beside what they are in step with.
      CREATE SCHEMA IF NOT EXISTS calendly;
      CREATE VIEW calendly._syncs AS
        SELECT s.id, s.target_schema AS schema_name, s.target_table AS table_name, s.connection_id, s.base_id, s.table_id, s.direction,
               s.state, s.paused_because, coalesce(s.problem, s.waits_for) AS problem, s.as_of, s.changed_at,
               (SELECT count(*) FROM sync_parked AS p WHERE p.sync_id = s.id) AS parked
        FROM syncs AS s;
      CREATE VIEW calendly._columns AS
        SELECT s.id AS sync_id, s.target_schema AS schema_name, s.target_table AS table_name, c->>'column' AS column_name,
               c->>'columnType' AS column_type, c->>'fieldId' AS field_id, c->>'fieldName' AS field_name,
               c->>'fieldType' AS field_type, (c->>'goneAt')::timestamptz AS gone_at
        FROM syncs AS s, jsonb_array_elements(s.columns) AS c;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP VIEW calendly._syncs, calendly._columns');
    await runner.query('DROP TABLE sync_parked, base_writes, copied_records, sync_slices, syncs');
  }
}
