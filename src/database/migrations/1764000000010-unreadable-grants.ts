import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Tells a grant that was alive when its secrets could not be decrypted from one that had ended before. */
export class UnreadableGrants1764000000010 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      -- The token generation that was in force then.
      ALTER TABLE connections ADD COLUMN unreadable_generation integer;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE connections DROP COLUMN unreadable_generation');
  }
}
