import { setTimeout as delay } from 'node:timers/promises';
import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import type { AuditActor, OtherAction, RecordAudit } from '../audit/audit-event.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { ConnectionLifecycle } from './connection-lifecycle.ts';
import type { ConnectionSecrets } from './connection-secrets.ts';
import type { ConnectionsFile, FileConnection } from './connections-file.ts';
import type { Connections } from './connections.ts';
import { conflictOf, type Present } from './file-conflicts.ts';

/*
 * What the connections file says becomes true in two steps, under a lock that instances take in turn:
 *
 *   1. One transaction compares the file with all connections. A conflict ends it, and the start, with nothing changed.
 *      Otherwise connections are made, renamed, given other scopes, and those that the file no longer names let go.
 *   2. Other credentials end the grants of the old ones, which takes calls to the upstream. A start that dies in the
 *      middle leaves the rest to the next one, which sees the same differences.
 *
 * What is as the file says is not touched, so a second start changes nothing.
 */

const actor: AuditActor = { id: 'connections-file', name: 'connections file' };

/** Instances that start together apply their file one after the other. */
const applyLock = `hashtext('connections:file')`;

/** How long an instance waits for another that is ending grants, in milliseconds. */
const lockTimeoutMs = 300_000;
const lockRetryMs = 100;

/** While it is working, the connection that holds the lock is used so often, in milliseconds. */
const aliveIntervalMs = 15_000;

/** Grants that are ended at a time: each may wait for an upstream that does not answer. */
const grantsAtATime = 10;

interface Difference {
  made: number[];
  edited: number[];
  released: number[];
}

/** Connections as code. */
export class ManagedConnections {
  readonly #database: DataSource;
  readonly #connections: Connections;
  readonly #secrets: ConnectionSecrets;
  readonly #lifecycle: ConnectionLifecycle;
  readonly #recordAudit: RecordAudit;
  readonly #logger: Logger;

  constructor(deps: {
    database: DataSource;
    connections: Connections;
    secrets: ConnectionSecrets;
    lifecycle: ConnectionLifecycle;
    recordAudit: RecordAudit;
    logger: Logger;
  }) {
    this.#database = deps.database;
    this.#connections = deps.connections;
    this.#secrets = deps.secrets;
    this.#lifecycle = deps.lifecycle;
    this.#recordAudit = deps.recordAudit;
    this.#logger = deps.logger;
  }

  /**
   * Makes true what the file says; without a file, whatever one managed before is let go.
   * @throws ConfigError with all conflicts between the file and the connections that are there; nothing is changed then
   */
  async apply(file: ConnectionsFile | null): Promise<void> {
    if (file === null && !(await this.#managesAny())) return;
    const { path, connections } = file ?? { path: '', connections: [] };
    await this.#oneAtATime(async () => {
      const { made, edited, released } = await this.#database.transaction((manager) =>
        this.#writeRows(manager, path, connections),
      );
      for (const connectionId of made) {
        await this.#tell('createConnection', connectionId, 'connection made from the connections file', {});
      }
      for (const connectionId of edited) {
        await this.#tell('updateConnection', connectionId, 'connection changed by the connections file', {});
      }
      for (const connectionId of released) {
        await this.#tell(
          'updateConnection',
          connectionId,
          'connection is no longer in the connections file: it stays, and the API manages it from now on',
          { managedByFile: false },
        );
      }
      await this.#replaceCredentials(connections.filter(({ id }) => !made.includes(id)));
    });
  }

  async #managesAny(): Promise<boolean> {
    const rows: unknown[] = await this.#database.query(
      'SELECT 1 FROM connections WHERE managed_by_file LIMIT 1',
    );
    return rows.length > 0;
  }

  async #oneAtATime(work: () => Promise<void>): Promise<void> {
    const runner = this.#database.createQueryRunner();
    await runner.connect();
    try {
      await waitForTurn(runner);
      // The pool gives up a connection on which nothing moves, and the lock with it.
      const alive = setInterval(() => void runner.query('SELECT 1').catch(() => undefined), aliveIntervalMs);
      try {
        await work();
      } finally {
        clearInterval(alive);
        await runner.query(`SELECT pg_advisory_unlock(${applyLock})`);
      }
    } finally {
      await runner.release();
    }
  }

  async #writeRows(manager: EntityManager, path: string, connections: FileConnection[]): Promise<Difference> {
    // Nobody makes or renames a connection between the comparison and the end, or takes a number from the sequence.
    await manager.query('LOCK TABLE connections IN SHARE ROW EXCLUSIVE MODE');
    const present: Present[] = await manager.query('SELECT id, name, made_by_file FROM connections');
    const conflict = conflictOf(path, connections, present);
    if (conflict) throw conflict;

    const ids = connections.map(({ id }) => id);
    const rows = JSON.stringify(
      connections.map(({ id, name, requestedScopes }) => ({ id, name, scopes: requestedScopes })),
    );
    const edited = idsOf(
      await manager.query(
        `WITH changed AS (
           UPDATE connections c
           SET name = f.name, requested_scopes = f.scopes, managed_by_file = true, updated_at = now()
           FROM jsonb_to_recordset($1) AS f (id integer, name text, scopes text[])
           WHERE c.id = f.id
             AND (c.name, c.requested_scopes, c.managed_by_file) IS DISTINCT FROM (f.name, f.scopes, true)
           RETURNING c.id
         ) SELECT id FROM changed ORDER BY id`,
        [rows],
      ),
    );
    const released = idsOf(
      await manager.query(
        `WITH changed AS (
           UPDATE connections SET managed_by_file = false, updated_at = now()
           WHERE managed_by_file AND id <> ALL ($1) RETURNING id
         ) SELECT id FROM changed ORDER BY id`,
        [ids],
      ),
    );
    const known = new Set(present.map(({ id }) => id));
    const made = connections.filter(({ id }) => !known.has(id));
    for (const { id, type, name, clientId, clientSecret, requestedScopes } of made) {
      await manager.query(
        `INSERT INTO connections (id, type, name, client_id, state, requested_scopes, made_by_file, managed_by_file)
         VALUES ($1, $2, $3, $4, 'configured', $5, true, true)`,
        [id, type, name, clientId, requestedScopes],
      );
      await this.#secrets.storeClientSecret(manager, id, clientSecret);
    }
    if (ids.length > 0) await numberAfter(manager, Math.max(...ids));
    return { made: made.map(({ id }) => id), edited, released };
  }

  async #replaceCredentials(connections: FileConnection[]): Promise<void> {
    const wanted = new Map(connections.map((connection) => [connection.id, connection]));
    const stored = await this.#connections.read([...wanted.keys()]);
    for (let start = 0; start < stored.length; start += grantsAtATime) {
      const outcomes = await Promise.allSettled(
        stored.slice(start, start + grantsAtATime).map(async (connection) => {
          const { clientId, clientSecret } = wanted.get(connection.id)!;
          const report = await this.#lifecycle.replaceCredentials(connection, { clientId, clientSecret });
          if (report === null) return;
          await this.#tell(
            'updateConnection',
            connection.id,
            'credentials of a connection changed by the connections file',
            { credentialsChanged: true, ...report },
          );
        }),
      );
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    }
  }

  async #tell(
    action: OtherAction,
    connectionId: number,
    what: string,
    details: Record<string, string | number | boolean | null>,
  ): Promise<void> {
    this.#logger.info({ connectionId, ...details }, what);
    await this.#recordAudit({ actor, action, outcome: 'ok', connectionId, details });
  }
}

function idsOf(rows: { id: number }[]): number[] {
  return rows.map(({ id }) => id);
}

/** Lets the API number new connections after `id`, unless it has got further by itself. */
async function numberAfter(manager: EntityManager, id: number): Promise<void> {
  await manager.query(
    `SELECT setval('connections_id_seq', $1)
     FROM connections_id_seq WHERE last_value < $1 OR (last_value = $1 AND NOT is_called)`,
    [id],
  );
}

/** Asks again and again rather than once for long: no statement, and no silence, may last so long. */
async function waitForTurn(runner: QueryRunner): Promise<void> {
  const giveUpAt = performance.now() + lockTimeoutMs;
  for (;;) {
    const [row] = (await runner.query(`SELECT pg_try_advisory_lock(${applyLock}) AS taken`)) as {
      taken: boolean;
    }[];
    if (row?.taken) return;
    if (performance.now() > giveUpAt)
      throw new AppError(
        'DATABASE_UNAVAILABLE',
        'The connections file could not be applied: another instance was applying its own all the time. Start again when that one is ready.',
      );
    await delay(lockRetryMs);
  }
}
