import type { EntityManager } from 'typeorm';
import { AppError } from '../../errors.ts';
import { quotedTable } from './identifiers.ts';
import { targetName, type Sync } from '../sync.ts';

/** What the migrations make, and the list of those that have run: whoever could write there would be this server. */
export const serverRelations: readonly string[] = [
  'api_keys',
  'audit_entries',
  'authorization_flows',
  'base_writes',
  'change_feeds',
  'changes',
  'connection_activity',
  'connection_alerts',
  'connection_incidents',
  'connection_secrets',
  'connections',
  'copied_records',
  'explorer_codes',
  'migrations',
  'rate_budgets',
  'sync_conflicts',
  'sync_outbox',
  'sync_parked',
  'sync_pending',
  'sync_slices',
  'sync_writes',
  'syncs',
  'trigger_deliveries',
  'trigger_health',
  'trigger_secrets',
  'trigger_writes',
  'triggers',
  'unread_payloads',
  'webhooks',
  'write_operations',
  'write_tens',
];

/** Views beside the tables that are made for syncs. */
export const serverViews: readonly string[] = ['calendly._columns', 'calendly._syncs'];

/** Schemas of PostgreSQL itself; no others may begin with `pg_`. */
const systemSchema = /^(pg_|information_schema$)/;

/**
 * Keeps what this server and PostgreSQL live by from being the target of a sync. Another table of the same name, in
 * another schema, is nobody's but its owner's.
 * @throws AppError TARGET_UNFIT
 */
export async function refuseServerTable(
  sql: Pick<EntityManager, 'query'>,
  target: Pick<Sync, 'targetSchema' | 'targetTable'>,
): Promise<void> {
  const name = targetName(target).slice(0, 140);
  if (systemSchema.test(target.targetSchema) || serverViews.includes(targetName(target)))
    throw new AppError(
      'TARGET_UNFIT',
      `${name} belongs to the system, so it can be the target of no sync. Name a table of your own, or leave it out to have one made.`,
    );
  // Names without a schema mean the same here as in all other statements of ours.
  const [own] = await sql.query<object[]>(
    'SELECT 1 FROM unnest($1::text[]) AS one(name) WHERE to_regclass(quote_ident(one.name)) = to_regclass($2)',
    [serverRelations, quotedTable(target)],
  );
  if (own)
    throw new AppError(
      'TARGET_UNFIT',
      `The table ${name} holds data of this server, so it can be the target of no sync. Name a table of your own, or leave it out to have one made.`,
    );
}
