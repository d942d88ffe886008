import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Tells on the channel `connections` which connection's row has changed, whoever wrote it. Leases, epochs and claims of
 * refreshes are not told: nothing that is shown depends on them.
 */
export class ConnectionChanges1764000000003 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE FUNCTION notify_connection_change() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM pg_notify('connections', coalesce(NEW.id, OLD.id)::text);
        RETURN NULL;
      END $$;

      CREATE TRIGGER connection_came_or_went AFTER INSERT OR DELETE ON connections
        FOR EACH ROW EXECUTE FUNCTION notify_connection_change();

      CREATE TRIGGER connection_changed AFTER UPDATE ON connections
        FOR EACH ROW
        WHEN ((OLD.name, OLD.client_id, OLD.state, OLD.problem_code, OLD.requested_scopes, OLD.granted_scopes, OLD.account_id,
               OLD.account_email, OLD.token_generation, OLD.access_token_expires_at, OLD.refresh_token_expires_at, OLD.updated_at)
              IS DISTINCT FROM
              (NEW.name, NEW.client_id, NEW.state, NEW.problem_code, NEW.requested_scopes, NEW.granted_scopes, NEW.account_id,
               NEW.account_email, NEW.token_generation, NEW.access_token_expires_at, NEW.refresh_token_expires_at, NEW.updated_at))
        EXECUTE FUNCTION notify_connection_change();
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TRIGGER connection_changed ON connections;
      DROP TRIGGER connection_came_or_went ON connections;
      DROP FUNCTION notify_connection_change();
    `);
  }
}
