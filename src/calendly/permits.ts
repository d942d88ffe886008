import { priorities, type Priority } from './operation.ts';

/** How the budget reaches its database: text with $1, $2 … and the rows it answers. */
export type Sql = (text: string, params: unknown[]) => Promise<Record<string, unknown>[]>;

/** A number for each class of those who want to send. */
export type ByPriority = Record<Priority, number>;

export interface Grant {
  /** Permissions, 0 up to what was wanted. */
  granted: ByPriority;
  /** When, by the database's clock to the microsecond; names a permission when it is given back. */
  grantedAt: string;
  /** Milliseconds until it is worth asking again; longer for those who are held back where people wait, here or elsewhere. */
  waitMs: ByPriority;
  /** Whether `waitMs` is a pause that the upstream imposed. */
  paused: boolean;
}

/** Asks the shared budget. Keys are `base:<id>`, or `connection:<id>` for calls without a base. */
export class Permits {
  readonly #sql: Sql;
  readonly calls: number;
  readonly windowMs: number;

  constructor(sql: Sql, limit: { calls: number; windowMs: number }) {
    this.#sql = sql;
    this.calls = limit.calls;
    this.windowMs = limit.windowMs;
  }

  /** @param wanted How many wait for a permission in this process. */
  async take(key: string, wanted: Partial<ByPriority>): Promise<Grant> {
    const [row] = await this.#sql(
      `SELECT granted, granted_at::text AS granted_at, wait_ms, paused FROM take_permits($1, $2, $3, $4)`,
      [key, priorities.map((priority) => wanted[priority] ?? 0), this.calls, this.windowMs],
    );
    return {
      granted: byPriority(row?.granted, 0),
      grantedAt: String(row?.granted_at),
      waitMs: byPriority(row?.wait_ms, this.windowMs),
      paused: row?.paused === true,
    };
  }

  /** For a permission that was not used. */
  async giveBack(key: string, grantedAt: string): Promise<void> {
    await this.#sql('SELECT give_back_permit($1, $2::timestamptz)', [key, grantedAt]);
  }

  /** For a permission that was used later than it was granted: it counts from now. */
  async restamp(key: string, grantedAt: string): Promise<void> {
    await this.#sql('SELECT restamp_permit($1, $2::timestamptz)', [key, grantedAt]);
  }

  /**
   * Forgets the budgets that nobody has used for an hour. Nobody may be granted anything meanwhile, which the lock sees
   * to: a call that finds its row gone would not be on the log.
   */
  async prune(): Promise<void> {
    await this.#sql(
      `DO $$
       BEGIN
         SET LOCAL lock_timeout = '1s';
         LOCK TABLE rate_budgets IN SHARE ROW EXCLUSIVE MODE;
         DELETE FROM rate_budgets
         WHERE coalesce(paused_until, '-infinity') < clock_timestamp()
           AND NOT EXISTS (SELECT FROM unnest(sent) AS at WHERE at > clock_timestamp() - interval '1 hour');
       END
       $$`,
      [],
    );
  }

  /** Nothing is granted for `ms`, to anyone; a longer pause that runs already stays. */
  async pause(key: string, ms: number): Promise<void> {
    await this.#sql('SELECT pause_budget($1, $2)', [key, ms]);
  }
}

function byPriority(values: unknown, otherwise: number): ByPriority {
  const of = (index: number): number => Number(Array.isArray(values) ? values[index] : otherwise);
  return { person: of(0), drain: of(1), background: of(2) };
}
