import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When a key was last used, and which one is the configured one: its name alone does not tell, since names are free. */
export class ApiKeyUse1764000000002 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE api_keys ADD COLUMN configured boolean NOT NULL DEFAULT false, ADD COLUMN last_used_at timestamptz;
      UPDATE api_keys SET configured = true WHERE name = 'configured admin key' AND revoked_at IS NULL;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE api_keys DROP COLUMN configured, DROP COLUMN last_used_at');
  }
}
