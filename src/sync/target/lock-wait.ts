import type { Sql } from '../../database/sql.ts';

/**
 * Lets statements of a transaction wait for locks so long at most, and as long as before afterwards. Where one fails, that
 * is undone with what it is in.
 */
export async function waitingForLocks<T>(sql: Sql, maxMs: number, run: () => Promise<T>): Promise<T> {
  const [before] = await sql.query<{ wait: string }[]>(`SELECT current_setting('lock_timeout') AS wait`);
  await sql.query(`SET LOCAL lock_timeout = ${maxMs}`);
  const result = await run();
  await sql.query(`SELECT set_config('lock_timeout', $1, true)`, [before?.wait ?? '0']);
  return result;
}
