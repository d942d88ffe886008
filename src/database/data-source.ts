import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import { DataSource } from 'typeorm';
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js';
import { ConnectionEntity } from '../connections/connection.entity.ts';
import type { Logger } from '../logger.ts';
import { Initial1764000000000 } from './migrations/1764000000000-initial.ts';
import { RateBudgets1764000000001 } from './migrations/1764000000001-rate-budgets.ts';
import { ApiKeyUse1764000000002 } from './migrations/1764000000002-api-key-use.ts';
import { ConnectionChanges1764000000003 } from './migrations/1764000000003-connection-changes.ts';
import { ConnectionsFile1764000000004 } from './migrations/1764000000004-connections-file.ts';
import { AuditLog1764000000007 } from './migrations/1764000000007-audit-log.ts';
import { TokenUpkeep1764000000005 } from './migrations/1764000000005-token-upkeep.ts';
import { FlowStarters1764000000006 } from './migrations/1764000000006-flow-starters.ts';
import { WriteOperations1764000000009 } from './migrations/1764000000009-write-operations.ts';
import { Activity1764000000008 } from './migrations/1764000000008-activity.ts';
import { Triggers1764000000014 } from './migrations/1764000000014-triggers.ts';
import { TriggerActions1764000000015 } from './migrations/1764000000015-trigger-actions.ts';
import { Syncs1764000000016 } from './migrations/1764000000016-syncs.ts';
import { SyncPushes1764000000017 } from './migrations/1764000000017-sync-pushes.ts';
import { UnreadableGrants1764000000010 } from './migrations/1764000000010-unreadable-grants.ts';
import { WebhookSuccession1764000000011 } from './migrations/1764000000011-webhook-succession.ts';

/** Only entities without secrets are mapped; secrets are read and written by SQL in the one module that decrypts them. */
const entities = [ConnectionEntity];

const migrations = [
  Initial1764000000000,
  RateBudgets1764000000001,
  ApiKeyUse1764000000002,
  ConnectionChanges1764000000003,
  ConnectionsFile1764000000004,
  AuditLog1764000000007,
  TokenUpkeep1764000000005,
  FlowStarters1764000000006,
  WriteOperations1764000000009,
  Activity1764000000008,
  UnreadableGrants1764000000010,
  WebhookSuccession1764000000011,
  Triggers1764000000014,
  TriggerActions1764000000015,
  Syncs1764000000016,
  SyncPushes1764000000017,
];

/** How long a caller waits for a free connection before it gets an error instead of hanging, in milliseconds. */
const connectTimeoutMs = 2_000;

/** Longest statement of a running server, in milliseconds. Migrations may take longer. */
const statementTimeoutMs = 30_000;

/**
 * A transaction that is left alone for so long has lost its process, in milliseconds: its rows are locked until then. None of
 * ours waits for anything but the next statement.
 */
const idleTransactionTimeoutMs = 60_000;

/** Silence after which it is asked whether the other side is still there, in milliseconds; else a vanished one is not noticed. */
const keepAliveAfterMs = 10_000;

/**
 * A connection of the pool on which nothing moves for so long is given up, in milliseconds. The statement's timeout is the
 * server's, and data that nobody acknowledges keeps the system from asking whether it is alive: when its host vanishes, a
 * statement would wait for a quarter of an hour. Longer than any statement; who holds a connection longer has to use it.
 */
const silenceTimeoutMs = 70_000;

/**
 * @param options.poolSize Connections that this process may hold open at once.
 * @param options.statementTimeoutMs 0: a statement may take as long as it wants, and its connection be silent meanwhile.
 */
export function createDataSource(
  url: string,
  {
    poolSize = 10,
    statementTimeoutMs: timeoutMs = statementTimeoutMs,
    silenceTimeoutMs: silenceMs = timeoutMs === 0 ? 0 : silenceTimeoutMs,
  }: { poolSize?: number; statementTimeoutMs?: number; silenceTimeoutMs?: number } = {},
): DataSource {
  return new DataSource({
    type: 'postgres',
    url,
    entities,
    migrations,
    migrationsTransactionMode: 'each',
    synchronize: false,
    logging: false,
    poolSize,
    connectTimeoutMS: connectTimeoutMs,
    applicationName: 'omnera-calendly-connections',
    extra: {
      connectionTimeoutMillis: connectTimeoutMs,
      statement_timeout: timeoutMs,
      idle_in_transaction_session_timeout: idleTransactionTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: keepAliveAfterMs,
      stream: () => boundedSocket(silenceMs),
      onConnect: outliveErrors,
    },
  });
}

/**
 * The pool listens for errors of the connections that nobody uses; who takes one does so a moment later. Without this, the
 * last words of a database that is killed in that moment would end the process. The statement fails in any case.
 */
function outliveErrors(client: PoolClient): void {
  client.on('error', () => undefined);
}

/** Under TLS too, what is read and written counts for the socket below. 0: no bound. */
function boundedSocket(silenceMs: number): Socket {
  const socket = new Socket();
  socket.setTimeout(silenceMs, () =>
    socket.destroy(
      Object.assign(new Error(`ETIMEDOUT: PostgreSQL was silent for ${silenceMs} ms`), { code: 'ETIMEDOUT' }),
    ),
  );
  return socket;
}

/** How many connections of the pool are in use, how many are not, and how many statements wait for one. */
export function poolUse(database: DataSource): { busy: number; idle: number; waiting: number } {
  const pool = (database.driver as PostgresDriver).master as Pool;
  const { totalCount, idleCount, waitingCount } = pool;
  return { busy: totalCount - idleCount, idle: idleCount, waiting: waitingCount };
}

/** A database that is starting or restarting is waited for this long, in milliseconds. */
const startTimeoutMs = 20_000;
const startRetryMs = 500;

/** Connects, giving a database that starts at the same time as we do the time to come up. */
export async function connectDatabase(database: DataSource): Promise<void> {
  const giveUpAt = performance.now() + startTimeoutMs;
  for (;;) {
    try {
      await database.initialize();
      return;
    } catch (error) {
      if (performance.now() > giveUpAt || !isPassing(error)) throw error;
      await delay(startRetryMs);
    }
  }
}

/** Refused or timed-out connections and "the database system is starting up"; a wrong password is not passing. */
function isPassing(error: unknown): boolean {
  const text = error instanceof Error ? `${error.message} ${'code' in error ? String(error.code) : ''}` : '';
  return /ECONNREFUSED|ECONNRESET|ETIMEDOUT|timeout|terminated|57P03/.test(text);
}

/** Any number that only we use: instances that start together migrate one after the other. */
export const migrationLock = 4_917_203_311;

/** A turn that has not come by then is told of, once: the wait for it has no end of its own. In milliseconds. */
const turnNoticeMs = 5_000;

/**
 * Brings the schema up to date. Safe to call from several instances at once: they take turns.
 * @param logger is told of a long wait for the turn
 */
export async function migrate(url: string, logger?: Logger): Promise<void> {
  const database = createDataSource(url, { poolSize: 2, statementTimeoutMs: 0 });
  await connectDatabase(database);
  try {
    await migrateOn(database, logger);
  } finally {
    await database.destroy();
  }
}

async function migrateOn(database: DataSource, logger: Logger | undefined): Promise<void> {
  const runner = database.createQueryRunner();
  await runner.connect();
  try {
    const notice = setTimeout(() => {
      logger?.warn(
        { waitedMs: turnNoticeMs },
        'another instance migrates the database; waiting for it to end',
      );
    }, turnNoticeMs);
    try {
      await runner.query('SELECT pg_advisory_lock($1)', [migrationLock]);
    } finally {
      clearTimeout(notice);
    }
    try {
      await database.runMigrations();
    } finally {
      await runner.query('SELECT pg_advisory_unlock($1)', [migrationLock]);
    }
  } finally {
    await runner.release();
  }
}
