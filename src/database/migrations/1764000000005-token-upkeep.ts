import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What renewing tokens ahead of time needs to know: whether a connection is used, how long its tokens live, when to try again. */
export class TokenUpkeep1764000000005 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE connections
        -- The last time somebody asked for its access token, written at most every ten minutes.
        ADD COLUMN last_used_at timestamptz,
        ADD COLUMN access_token_issued_at timestamptz,
        ADD COLUMN refresh_token_issued_at timestamptz,
        -- Refreshes in a row that failed without telling anything about the grant.
        ADD COLUMN refresh_failures integer NOT NULL DEFAULT 0,
        -- No refresh ahead of time before this: an instance is at it, or the last one failed.
        ADD COLUMN refresh_not_before timestamptz;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE connections
        DROP COLUMN last_used_at, DROP COLUMN access_token_issued_at, DROP COLUMN refresh_token_issued_at,
        DROP COLUMN refresh_failures, DROP COLUMN refresh_not_before;
    `);
  }
}
