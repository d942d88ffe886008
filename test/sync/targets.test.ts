import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { serverRelations, serverViews } from '../../src/sync/server-tables.ts';
import { startTestApp, type TestApp, type UntypedData } from '../support/app.ts';
import { createSync, mutate, settled } from './sync-app.ts';

let app: TestApp;
let connection: number;
/** As the migrations have left it. */
let migrated: string[];

beforeAll(async () => {
  app = await startTestApp();
  const rows = await query(
    `SELECT CASE nspname WHEN 'public' THEN '' ELSE nspname || '.' END || relname AS name
     FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
     WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT starts_with(nspname, 'pg_') AND nspname <> 'information_schema'`,
  );
  migrated = rows.map(({ name }) => String(name));
  connection = await app.connect();
});
afterAll(() => app.close());

function query(text: string, params?: unknown[]): Promise<UntypedData[]> {
  return app.database.query(text, params);
}

/** Keeps the contacts in a table that was there before. */
async function keepIn(table: string, columns: Record<string, string>): Promise<UntypedData> {
  return createSync(app, connection, {
    table,
    columns: Object.entries(columns).map(([column, field]) => ({ column, field })),
  });
}

test('no sync writes to what the server or PostgreSQL live by, whatever the migrations make', async () => {
  expect([...serverRelations, ...serverViews].sort()).toEqual(migrated.sort());
  const wishes = [
    ['public.connections', 'name'],
    ['public.audit_entries', 'actor'],
    ['public.migrations', 'name'],
    ['pg_catalog.pg_authid', 'rolname'],
    ['information_schema.sql_features', 'feature_name'],
  ] as const;
  for (const [table, column] of wishes)
    expect(await keepIn(table, { [column]: 'Name' })).toMatchObject({
      code: 'TARGET_UNFIT',
      message: expect.stringContaining(table),
    });
  // The name alone means nothing.
  await query('CREATE SCHEMA crm; CREATE TABLE crm.connections (id serial PRIMARY KEY, name varchar(300))');
  const made = await keepIn('crm.connections', { name: 'Name' });
  expect(made).toMatchObject({ table: 'crm.connections' });
  await settled(app, made.id);
  await mutate(app, 'pauseSync', { id: made.id });
  // Should the row of a sync ever say so.
  await query(`UPDATE syncs SET target_schema = 'public' WHERE id = $1`, [made.id]);
  expect(await mutate(app, 'resumeSync', { id: made.id })).toMatchObject({ code: 'TARGET_UNFIT' });
  await query(`UPDATE syncs SET target_schema = 'crm' WHERE id = $1`, [made.id]);
});
