import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The audit log, append-only by PostgreSQL itself. An entry without an outcome may be completed once; what is old
 * enough may be deleted by `prune_audit_entries`, and nothing else is ever changed or deleted.
 *
 * Times are kept to the millisecond, so that a cursor that went through JavaScript is still exact.
 */
export class AuditLog1764000000007 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE audit_entries (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        actor_id text NOT NULL CHECK (length(actor_id) <= 200),
        actor_name text NOT NULL CHECK (length(actor_name) <= 200),
        action text NOT NULL CHECK (length(action) <= 100),
        -- No foreign key: entries outlive connections.
        connection_id integer,
        target text CHECK (length(target) <= 200),
        outcome text CHECK (length(outcome) <= 100),
        completed_at timestamptz(3),
        details jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object' AND octet_length(details::text) <= 4000),
        request_id text CHECK (length(request_id) <= 200)
      );
      CREATE INDEX audit_entries_by_time ON audit_entries (at, id);
      CREATE INDEX audit_entries_by_connection ON audit_entries (connection_id, at, id) WHERE connection_id IS NOT NULL;
      CREATE INDEX audit_entries_by_actor ON audit_entries (actor_id, at, id);
      CREATE INDEX audit_entries_by_action ON audit_entries (action, at, id);

      CREATE FUNCTION complete_audit_entry_once() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        -- What was left open when it began may be filled in with the outcome; what was said may not be taken back.
        IF OLD.outcome IS NULL AND NEW.outcome IS NOT NULL
           AND (NEW.id, NEW.at, NEW.actor_id, NEW.actor_name, NEW.action) = (OLD.id, OLD.at, OLD.actor_id, OLD.actor_name, OLD.action)
           AND NEW.request_id IS NOT DISTINCT FROM OLD.request_id
           AND (OLD.connection_id IS NULL OR NEW.connection_id IS NOT DISTINCT FROM OLD.connection_id)
           AND (OLD.target IS NULL OR NEW.target IS NOT DISTINCT FROM OLD.target)
           AND NEW.details @> OLD.details
        THEN RETURN NEW;
        END IF;
        RAISE EXCEPTION 'The audit log is append-only: entry % can not be changed.', OLD.id USING ERRCODE = 'insufficient_privilege';
      END $$;
      CREATE TRIGGER audit_entry_completed_once BEFORE UPDATE ON audit_entries
        FOR EACH ROW EXECUTE FUNCTION complete_audit_entry_once();

      CREATE FUNCTION keep_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF TG_OP = 'DELETE' AND current_setting('audit.pruning', true) = 'on' AND OLD.at < now() - interval '30 days' THEN RETURN OLD;
        END IF;
        RAISE EXCEPTION 'The audit log is append-only: entries go by prune_audit_entries alone, when they are old enough.'
          USING ERRCODE = 'insufficient_privilege';
      END $$;
      CREATE TRIGGER audit_entry_kept BEFORE DELETE ON audit_entries FOR EACH ROW EXECUTE FUNCTION keep_audit_entry();
      CREATE TRIGGER audit_entries_kept BEFORE TRUNCATE ON audit_entries FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_entry();

      CREATE FUNCTION prune_audit_entries(retention_days integer, batch_size integer) RETURNS integer
        LANGUAGE plpgsql SET audit.pruning = 'on' AS $$
      DECLARE deleted integer;
      BEGIN
        IF retention_days < 30 THEN RAISE EXCEPTION 'Audit entries are kept for 30 days at least.'; END IF;
        DELETE FROM audit_entries WHERE id IN (
          SELECT id FROM audit_entries WHERE at < now() - make_interval(days => retention_days)
          ORDER BY at, id LIMIT batch_size FOR UPDATE SKIP LOCKED);
        GET DIAGNOSTICS deleted = ROW_COUNT;
        RETURN deleted;
      END $$;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP FUNCTION prune_audit_entries(integer, integer);
      DROP TABLE audit_entries;
      DROP FUNCTION keep_audit_entry();
      DROP FUNCTION complete_audit_entry_once();
    `);
  }
}
