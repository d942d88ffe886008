/** A person with an account at the upstream. */
export interface User {
  id: string;
  email: string;
  name: string;
}

/** What a user let an integration do: which scopes, in which bases. Tokens belong to a grant. */
export interface Grant {
  id: string;
  clientId: string;
  userId: string;
  scopes: string[];
  /** Base ids, or `all` for every base there is and will be. */
  baseIds: string[] | 'all';
  /** ISO time of consent. */
  createdAt: string;
}

/** What a user may do in a base, from the least to the most. */
export const PERMISSION_LEVELS = ['none', 'read', 'comment', 'edit', 'create'] as const;
export type PermissionLevel = (typeof PERMISSION_LEVELS)[number];

/** True if `level` is at least `needed`. */
export function suffices(level: PermissionLevel, needed: PermissionLevel): boolean {
  return PERMISSION_LEVELS.indexOf(level) >= PERMISSION_LEVELS.indexOf(needed);
}
