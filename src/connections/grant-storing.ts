import type { DataSource, EntityManager } from 'typeorm';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { ConnectionSecrets } from './connection-secrets.ts';
import type { TokenAnswer } from './oauth-client.ts';
import { offerPair } from './pair-offering.ts';
import { expiries } from './refresh-claims.ts';
import type { FlowRow } from './stored-flows.ts';

/** How long a new grant is offered to a database that does not take it, in milliseconds: somebody looks at a blank page. */
const offeredForMs = 10_000;

/**
 * Puts a new grant in the place of whatever was there, also where the database is away for a moment.
 * @returns false when the connection has moved on since the flow began: the pair belongs to nobody
 * @throws when the database did not take it; whether it has it is then not known
 */
export async function keepGrant(
  deps: { database: DataSource; secrets: ConnectionSecrets; clock: Clock; logger: Logger },
  flow: FlowRow,
  answer: TokenAnswer,
): Promise<boolean> {
  const { database, secrets, clock, logger } = deps;
  const { connection_id: connectionId } = flow;
  const store = async (): Promise<boolean> => {
    const now = clock.now();
    if (await database.transaction((sql) => storeGrant(sql, secrets, flow, answer, now))) return true;
    // The commit of an earlier try has stored it, though its answer was lost.
    return (await secrets.tokens(database, connectionId))?.accessToken === answer.accessToken;
  };
  return offerPair(store, { connectionId, forMs: offeredForMs, logger });
}

/**
 * One try, in the caller's transaction. The epoch rises, so that refreshes of
 * the old one and other flows that are open come to nothing.
 * @returns false, with nothing changed, when the connection has moved on since the flow began
 */
async function storeGrant(
  sql: EntityManager,
  secrets: ConnectionSecrets,
  flow: FlowRow,
  answer: TokenAnswer,
  now: number,
): Promise<boolean> {
  const [, affected]: [unknown[], number] = await sql.query(
    `UPDATE connections
     SET state = 'connected', epoch = epoch + 1, problem_code = NULL, problem_message = NULL, token_generation = token_generation + 1,
         refresh_sent_generation = NULL, refresh_holder = NULL, refresh_lease_until = NULL, refresh_failures = 0, refresh_not_before = NULL,
         access_token_issued_at = $6, access_token_expires_at = $3, refresh_token_issued_at = $6, refresh_token_expires_at = $4,
         last_refreshed_at = NULL, granted_scopes = $5,
         account_id = NULL, account_email = NULL, updated_at = now()
     WHERE id = $1 AND epoch = $2`,
    [
      flow.connection_id,
      flow.epoch,
      ...expiries(answer, now),
      answer.scopes.length > 0 ? answer.scopes : flow.scopes,
      new Date(now),
    ],
  );
  if (affected !== 1) return false;
  await secrets.forgetTokens(sql, flow.connection_id);
  await secrets.storeTokens(sql, flow.connection_id, answer);
  return true;
}
