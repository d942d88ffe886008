import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a person's token said when the person began an OAuth flow; null when an API key did. */
export class FlowStarters1764000000006 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE authorization_flows ADD COLUMN starter jsonb');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE authorization_flows DROP COLUMN starter');
  }
}
