import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Webhooks that are replaced while they live, and those that nobody uses. */
export class WebhookSuccession1764000000011 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE webhooks
        DROP CONSTRAINT webhooks_state_check,
        -- preparing: the create call of a successor is under way. ready: it records upstream, and waits for the end of
        -- the one before it. ending: done with here, and to be deleted upstream.
        ADD CONSTRAINT webhooks_state_check
          CHECK (state IN ('creating', 'active', 'lost', 'failed', 'deleted', 'preparing', 'ready', 'ending')),
        -- What it was asked to tell of.
        ADD COLUMN data_types text[] NOT NULL DEFAULT '{tableData}',
        -- When a successor was known to record.
        ADD COLUMN ready_at timestamptz,
        -- The highest number of a transaction that was pulled.
        ADD COLUMN last_transaction bigint,
        -- What a successor recorded while the one before it did as well: see src/webhooks/overlap.ts.
        ADD COLUMN overlap jsonb,
        -- Why it is to be replaced, and why that could not be done so far.
        ADD COLUMN replacement_reason text,
        ADD COLUMN replacement_problem text,
        ADD COLUMN replacement_not_before timestamptz,
        -- How many replacements in a row, up to the one that made it, were of a webhook that was not old.
        ADD COLUMN quick_replacements integer NOT NULL DEFAULT 0,
        -- Since when something is known to wait upstream; null when nothing is.
        ADD COLUMN behind_since timestamptz;
      CREATE UNIQUE INDEX webhooks_successor ON webhooks (feed_id) WHERE state IN ('preparing', 'ready');

      -- What payloads said that this version did not know, by the position of the payload.
      CREATE TABLE unread_payloads (
        feed_id integer NOT NULL REFERENCES change_feeds (id) ON DELETE CASCADE,
        generation integer NOT NULL,
        payload integer NOT NULL,
        content jsonb NOT NULL,
        logged_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (feed_id, generation, payload)
      );

      -- When somebody last subscribed, asked or saw to it, noted every few minutes.
      ALTER TABLE change_feeds ADD COLUMN used_at timestamptz NOT NULL DEFAULT now();
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE unread_payloads;
      DROP INDEX webhooks_successor;
      UPDATE webhooks SET state = 'failed' WHERE state IN ('preparing', 'ready', 'ending');
      ALTER TABLE webhooks
        DROP CONSTRAINT webhooks_state_check,
        ADD CONSTRAINT webhooks_state_check CHECK (state IN ('creating', 'active', 'lost', 'failed', 'deleted')),
        DROP COLUMN data_types, DROP COLUMN ready_at, DROP COLUMN last_transaction, DROP COLUMN overlap, DROP COLUMN replacement_reason,
        DROP COLUMN replacement_problem, DROP COLUMN replacement_not_before, DROP COLUMN quick_replacements,
        DROP COLUMN behind_since;
      ALTER TABLE change_feeds DROP COLUMN used_at;
    `);
  }
}
