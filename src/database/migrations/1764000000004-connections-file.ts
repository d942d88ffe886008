import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Connections that a file manages. What a file once made, it may take up again; what was made through the API, never.
 * Names are compared at the end of a statement, so that two connections can exchange theirs.
 */
export class ConnectionsFile1764000000004 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE connections
        ADD COLUMN made_by_file boolean NOT NULL DEFAULT false,
        ADD COLUMN managed_by_file boolean NOT NULL DEFAULT false,
        ADD CHECK (made_by_file OR NOT managed_by_file),
        DROP CONSTRAINT connections_name_key,
        ADD CONSTRAINT connections_name_key UNIQUE (name) DEFERRABLE INITIALLY IMMEDIATE;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE connections
        DROP COLUMN made_by_file,
        DROP COLUMN managed_by_file,
        DROP CONSTRAINT connections_name_key,
        ADD CONSTRAINT connections_name_key UNIQUE (name);
    `);
  }
}
