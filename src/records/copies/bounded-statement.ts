import pg from 'pg';
import type { Operation } from '../../calendly/operation.ts';
import { abortReason, deadlineExceeded } from '../../calendly/ended-early.ts';
import type { Clock } from '../../clock.ts';

/** Longest statement for a copy, in milliseconds; an operation whose deadline comes earlier cuts it there. */
const maxStatementMs = 5_000;

/** What PostgreSQL tells of a statement that was ended from outside, or took longer than any may. */
const queryCanceled = '57014';

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
  { deadline, signal }: Operation,
  clock: Clock,
): Promise<Row[]> {
  signal?.throwIfAborted();
  const client: Identified = await pool.connect();
  let broken = false;
  const words: Promise<unknown>[] = [];
  const cancel = (): void => {
    if (words.length > 0) return;
    words.push(pool.query('SELECT pg_cancel_backend($1)', [client.processID]).catch(() => undefined));
  };
  const timer = setTimeout(cancel, Math.max(0, Math.min(maxStatementMs, deadline - clock.now())));
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    const { rows } = await client.query<Row>(query);
    return rows;
  } catch (error) {
    broken = !(error instanceof pg.DatabaseError);
    if (!(error instanceof pg.DatabaseError) || error.code !== queryCanceled) throw error;
    if (signal?.aborted) throw abortReason(signal);
    throw clock.now() >= deadline ? deadlineExceeded() : new TookTooLong(error.message, { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', cancel);
    await Promise.all(words);
    client.release(broken);
  }
}
