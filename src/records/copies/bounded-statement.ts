import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import type { Operation } from '../../calendly/operation.ts';
import { abortReason, deadlineExceeded } from '../../calendly/ended-early.ts';
import type { Clock } from '../../clock.ts';

/** Longest statement for a copy, in milliseconds; an operation whose deadline comes earlier cuts it there. */
const maxStatementMs = 5_000;

/** What PostgreSQL tells of a statement that was ended from outside, or took longer than any may. */
const queryCanceled = '57014';

/** How the codes begin with which it ends a connection: it stops, or somebody wants that connection ended. */
const shuttingDownClass = '57P';

const ignore = (): void => undefined;

/** Between two words that a statement is to end, in milliseconds: one that comes before it has begun ends nothing. */
const betweenWordsMs = 50;

type Identified = pg.PoolClient & { processID?: number | null };

/** A statement took longer than `maxStatementMs`. */
export class TookTooLong extends Error {}

/**
 * Runs a statement no longer than the operation allows. It is ended by a word on another connection: a limit in the
 * statement's own transaction would take three more round-trips of each read for the sake of few. Nothing else gets the
 * connection before that word has arrived, so it ends no other statement.
 * @throws TookTooLong, and AppError DEADLINE_EXCEEDED or the reason of the operation's abort
 */
export async function queryWithin<Row extends pg.QueryResultRow>(
  pool: pg.Pool,
  query: pg.QueryConfig,
  { deadline, signal }: Pick<Operation, 'deadline' | 'signal'>,
  clock: Clock,
): Promise<Row[]> {
  const client: Identified = await pool.connect();
  const leftMs = Math.min(maxStatementMs, deadline - clock.now());
  if (signal?.aborted || leftMs <= 0) {
    client.release();
    throw signal?.aborted ? abortReason(signal) : deadlineExceeded();
  }
  // The pool listens to those that nobody uses: a connection that breaks in use would end the process.
  client.on('error', ignore);
  let broken = false;
  let isRunning = true;
  let words: Promise<void> | undefined;
  const cancel = (): void => {
    words ??= endStatement(pool, client, () => isRunning);
  };
  const timer = setTimeout(cancel, leftMs);
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    const { rows } = await client.query<Row>(query);
    return rows;
  } catch (error) {
    broken = !(error instanceof pg.DatabaseError) || Boolean(error.code?.startsWith(shuttingDownClass));
    if (!(error instanceof pg.DatabaseError) || error.code !== queryCanceled) throw error;
    if (signal?.aborted) throw abortReason(signal);
    throw clock.now() >= deadline ? deadlineExceeded() : new TookTooLong(error.message, { cause: error });
  } finally {
    isRunning = false;
    clearTimeout(timer);
    signal?.removeEventListener('abort', cancel);
    await words;
    client.off('error', ignore);
    client.release(broken);
  }
}

/** On a connection of its own: the pool's may all be held by statements like this one. */
async function endStatement(
  pool: pg.Pool,
  { processID }: Identified,
  isRunning: () => boolean,
): Promise<void> {
  const speaker = new pg.Client(pool.options);
  speaker.on('error', ignore);
  try {
    await speaker.connect();
    while (isRunning()) {
      await speaker.query('SELECT pg_cancel_backend($1)', [processID]);
      await wait(betweenWordsMs);
    }
  } catch {
    // The statement then ends with the limit that every statement has.
  } finally {
    await speaker.end().catch(() => undefined);
  }
}
