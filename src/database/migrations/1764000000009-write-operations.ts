import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What was written, for a day: enough to answer a repeated key and to claim creations, and no cell. */
export class WriteOperations1764000000009 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE write_operations (
        id uuid PRIMARY KEY,
        connection_id integer NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
        base_id text NOT NULL,
        -- Null until the table is known, which is before anything is sent.
        table_id text,
        caller text NOT NULL,
        mutation text NOT NULL,
        -- SHA-256 of the idempotency key; null for writes without one.
        key_hash bytea,
        input_hash bytea NOT NULL,
        record_count integer NOT NULL,
        -- Fields that the upstream computes: a logged creation has their cells besides those that were written.
        computed_fields text[] NOT NULL DEFAULT '{}',
        -- The instance that carries it out renews this; once it has run out, the instance is taken for dead.
        lease_until timestamptz NOT NULL,
        finished_at timestamptz,
        -- [{ indexes, status, code, message }] of records that were in no ten.
        unsent jsonb NOT NULL DEFAULT '[]',
        -- By the clock of the instance, as the age at which it is forgotten.
        created_at timestamptz NOT NULL,
        UNIQUE (caller, mutation, key_hash)
      );
      CREATE INDEX write_operations_by_age ON write_operations (created_at);
      CREATE INDEX write_operations_by_connection ON write_operations (connection_id);

      CREATE TABLE write_tens (
        operation_id uuid NOT NULL REFERENCES write_operations (id) ON DELETE CASCADE,
        ordinal integer NOT NULL,
        -- SENDING is stored before it leaves, the others with its outcome.
        state text NOT NULL CHECK (state IN ('SENDING', 'WRITTEN', 'FAILED', 'NOT_SENT', 'OUTCOME_UNKNOWN')),
        -- Places in the input; the lists below are parallel to it.
        indexes integer[] NOT NULL,
        record_ids text[] NOT NULL,
        effects text[],
        -- Salted hashes of the cells of creations; null where cells cannot be compared.
        fingerprints bytea[],
        -- Ids that the change log has shown later, of creations whose answer was lost.
        settled_ids text[],
        error_code text,
        error_message text,
        -- What was left out of records that were written otherwise; null where nothing was.
        warnings text[],
        sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (operation_id, ordinal)
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE write_tens, write_operations');
  }
}
