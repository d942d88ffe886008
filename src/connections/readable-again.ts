import type { DataSource } from 'typeorm';
import { theServer, type RecordAudit } from '../audit/audit-event.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { ConnectionSecrets } from './connection-secrets.ts';

/*
 * A server that was started with the wrong encryption keys puts every connection that it uses into `error`. The grants
 * behind them are as good as before, so a start with the right keys brings them back: those that were connected until
 * their secrets could not be decrypted, whose tokens are still the ones of then, and whose secrets all open now.
 *
 * Only a start does so. While it runs, a server has the same keys all the time, and two of them with different keys would
 * take turns for ever.
 */

interface Unreadable {
  id: number;
  generation: number;
}

/** Brings back what can be decrypted again. Never rejects: a server starts without it, and the next one tries again. */
export async function bringBackReadable(deps: {
  database: DataSource;
  secrets: ConnectionSecrets;
  audit: RecordAudit;
  logger: Logger;
  /** Told of each connection that came back. */
  onBack: (connectionId: number) => Promise<void>;
}): Promise<void> {
  const { database, audit, logger, onBack } = deps;
  try {
    const unreadable: Unreadable[] = await database.query(
      `SELECT id, token_generation AS generation FROM connections
       WHERE state = 'error' AND problem_code = 'SECRET_UNREADABLE' AND unreadable_generation = token_generation ORDER BY id`,
    );
    for (const { id, generation } of unreadable) {
      if (!(await opens(id, deps))) continue;
      const [, changed]: [unknown[], number] = await database.query(
        `UPDATE connections
         SET state = 'connected', problem_code = NULL, problem_message = NULL, unreadable_generation = NULL, updated_at = now()
         WHERE id = $1 AND state = 'error' AND problem_code = 'SECRET_UNREADABLE'
           AND token_generation = $2 AND unreadable_generation = $2`,
        [id, generation],
      );
      if (changed !== 1) continue;
      await audit({ actor: theServer, action: 'restoreConnection', outcome: 'ok', connectionId: id });
      logger.info(
        { connectionId: id },
        'the secrets of a connection can be decrypted again: it is connected',
      );
      await onBack(id);
    }
  } catch (error) {
    logger.warn({ err: error }, 'connections whose secrets can be decrypted again could not be brought back');
  }
}

async function opens(
  connectionId: number,
  { database, secrets }: { database: DataSource; secrets: ConnectionSecrets },
): Promise<boolean> {
  try {
    await secrets.clientSecret(database, connectionId);
    return (await secrets.tokens(database, connectionId)) !== null;
  } catch (error) {
    if (error instanceof AppError && error.code === 'SECRET_UNREADABLE') return false;
    throw error;
  }
}
