import { AppError } from '../errors.ts';

/** Each role may do what the ones before it may. */
export const roles = ['viewer', 'editor', 'admin'] as const;
export type Role = (typeof roles)[number];

/** Who is calling, and how far the caller's key or token reaches. What is out of reach looks as if it did not exist. */
export class Caller {
  /** Stable name for fairness, audit and ownership, such as `key:7` or `user:auth0|12`. Never the key itself. */
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  /** When the caller's key or token ends by itself; null: never. */
  readonly expiresAt: Date | null;
  readonly #connectionIds: ReadonlySet<number> | null;
  readonly #baseIds: ReadonlySet<string> | null;

  constructor(caller: {
    id: string;
    name: string;
    role: Role;
    connectionIds: number[] | null;
    baseIds: string[] | null;
    expiresAt: Date | null;
  }) {
    this.id = caller.id;
    this.name = caller.name;
    this.role = caller.role;
    this.expiresAt = caller.expiresAt;
    this.#connectionIds = caller.connectionIds && new Set(caller.connectionIds);
    this.#baseIds = caller.baseIds && new Set(caller.baseIds);
  }

  may(role: Role): boolean {
    return roles.indexOf(this.role) >= roles.indexOf(role);
  }

  sees(connectionId: number, baseId?: string): boolean {
    if (this.#connectionIds && !this.#connectionIds.has(connectionId)) return false;
    return baseId === undefined || this.#baseIds === null || this.#baseIds.has(baseId);
  }

  /** @throws AppError BASE_NOT_FOUND, the same as for a base that does not exist. */
  requireBase(connectionId: number, baseId: string): void {
    if (!this.sees(connectionId)) throw connectionNotFound(connectionId);
    if (!this.sees(connectionId, baseId)) throw baseNotFound(baseId, connectionId);
  }

  /** Whether a reach lies within the caller's own; null is all there is. */
  covers(connectionIds: readonly number[] | null, baseIds: readonly string[] | null): boolean {
    return within(connectionIds, this.#connectionIds) && within(baseIds, this.#baseIds);
  }

  /** The only connections that the caller reaches; null: all. */
  get connectionIds(): number[] | null {
    return this.#connectionIds && [...this.#connectionIds];
  }

  /** The only bases that the caller reaches; null: all. */
  get baseIds(): string[] | null {
    return this.#baseIds && [...this.#baseIds];
  }

  /** Callers with equal reach may share one answer. */
  get reach(): string {
    const list = (set: ReadonlySet<number | string> | null) => (set ? [...set].sort().join(',') : '*');
    return `${this.role}|${list(this.#connectionIds)}|${list(this.#baseIds)}`;
  }
}

function within<T>(part: readonly T[] | null, whole: ReadonlySet<T> | null): boolean {
  return whole === null || (part !== null && part.every((one) => whole.has(one)));
}

export function connectionNotFound(connectionId: number): AppError {
  return new AppError(
    'CONNECTION_NOT_FOUND',
    `There is no connection with the id ${connectionId}. The query "connections" lists the ones you can use.`,
    {
      details: { connectionId },
    },
  );
}

export function baseNotFound(baseId: string, connectionId: number): AppError {
  return new AppError(
    'BASE_NOT_FOUND',
    `Connection ${connectionId} has no base ${baseId}, or may not see it. Check the id, and whether the base was granted when the connection was made.`,
    { details: { connectionId, baseId } },
  );
}
