import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What every connection did by hour, what was suspicious of it by minute, and the alerts that came of it. They go with
 * their connection.
 */
export class Activity1764000000008 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE connection_activity (
        connection_id integer NOT NULL REFERENCES connections ON DELETE CASCADE,
        hour timestamptz NOT NULL,
        calls integer NOT NULL,
        errors integer NOT NULL,
        rate_limited integer NOT NULL,
        refused integer NOT NULL,
        refreshes integer NOT NULL,
        refreshes_failed integer NOT NULL,
        refresh_races_lost integer NOT NULL,
        mac_failures integer NOT NULL,
        -- From how many calls on the hour is unusual; null when too little is known of the connection.
        calls_limit integer,
        PRIMARY KEY (connection_id, hour)
      );
      CREATE INDEX connection_activity_by_hour ON connection_activity (hour);

      CREATE TABLE connection_incidents (
        connection_id integer NOT NULL REFERENCES connections ON DELETE CASCADE,
        kind text NOT NULL,
        minute timestamptz NOT NULL,
        count integer NOT NULL,
        PRIMARY KEY (connection_id, kind, minute)
      );
      CREATE INDEX connection_incidents_by_minute ON connection_incidents (minute);

      CREATE TABLE connection_alerts (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        connection_id integer NOT NULL REFERENCES connections ON DELETE CASCADE,
        kind text NOT NULL,
        -- That in which the last of what was counted happened.
        hour timestamptz NOT NULL,
        since timestamptz NOT NULL,
        until timestamptz NOT NULL,
        raised_at timestamptz NOT NULL,
        count integer NOT NULL,
        threshold integer NOT NULL,
        -- What of the connection it is about, such as a trigger; empty for all of it.
        subject text NOT NULL DEFAULT '',
        UNIQUE (connection_id, kind, subject, hour)
      );
      CREATE INDEX connection_alerts_by_connection ON connection_alerts (connection_id, id);
      CREATE INDEX connection_alerts_by_age ON connection_alerts (raised_at);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE connection_alerts, connection_incidents, connection_activity');
  }
}
