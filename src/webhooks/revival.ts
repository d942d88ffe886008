import type { DataSource } from 'typeorm';
import type { CalendlyApi } from '../calendly/api.ts';
import type { ConnectionEntity } from '../connections/connection.entity.ts';
import { scopesToRead } from './specification.ts';
import { selectWebhooks, type Webhook } from './webhook.ts';

/**
 * Takes up a webhook that was given up because nobody could read its base, when somebody can again and the upstream still
 * has it: it went on recording, so nothing is lost that the upstream still keeps. Whoever creates a webhook instead would
 * delete it with what it recorded.
 *
 * @returns whether one lives again, by us or by another instance at the same moment
 */
export async function revive(
  database: DataSource,
  api: CalendlyApi,
  connection: ConnectionEntity,
  baseId: string,
): Promise<boolean> {
  const [lost] = await database.query<Webhook[]>(
    `${selectWebhooks} WHERE f.client_id = $1 AND f.base_id = $2 AND w.state = 'lost' AND w.generation = f.generation`,
    [connection.clientId, baseId],
  );
  if (!lost || !scopesToRead(lost.dataTypes).every((scope) => connection.grantedScopes.includes(scope)))
    return false;
  const held = (await api.listWebhooks(baseId)).find(({ id }) => id === lost.upstreamId);
  if (!held?.isHookEnabled) return false;
  return database.transaction(async (sql) => {
    await sql.query('SELECT 1 FROM change_feeds WHERE id = $1 FOR UPDATE', [lost.feedId]);
    const [, revived] = await sql.query<[unknown[], number]>(
      `UPDATE webhooks
       SET state = 'active', connection_id = $2, problem = NULL, ended_at = NULL, checked_at = clock_timestamp(), check_lease_until = NULL,
           drain_not_before = NULL, drain_failures = 0, drain_wanted_at = clock_timestamp()
       WHERE id = $1 AND state = 'lost'
         AND NOT EXISTS (SELECT 1 FROM webhooks WHERE feed_id = $3 AND state IN ('creating', 'active'))`,
      [lost.id, connection.id, lost.feedId],
    );
    return revived === 1;
  });
}
