import { Caller, type Role } from './caller.ts';

/** A key as its administrators see it: everything but the key itself. */
export interface ApiKey {
  id: number;
  name: string;
  role: Role;
  /** The only connections, and the only bases, that it reaches; null: all. */
  connectionIds: number[] | null;
  baseIds: string[] | null;
  /** Whether it is ADMIN_API_KEY. */
  configured: boolean;
  createdAt: Date;
  expiresAt: Date | null;
  lastUsedAt: Date | null;
  revokedAt: Date | null;
}

/** The columns of `api_keys` that make an ApiKey. The hash is not among them. */
export const apiKeyColumns = `id, name, role, connection_ids AS "connectionIds", base_ids AS "baseIds", configured,
  created_at AS "createdAt", expires_at AS "expiresAt", last_used_at AS "lastUsedAt", revoked_at AS "revokedAt"`;

/** Holds in SQL for a key that opens the door. */
export const isLiving = `(revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))`;

export function callerOf({ id, name, role, connectionIds, baseIds, expiresAt }: ApiKey): Caller {
  return new Caller({ id: `key:${id}`, name, role, connectionIds, baseIds, expiresAt });
}

/** The number of the key behind a caller's id such as `key:7`; null when it is none. */
export function keyIdOf(callerId: string): number | null {
  const digits = /^key:(\d{1,9})$/.exec(callerId)?.[1];
  return digits === undefined ? null : Number(digits);
}
