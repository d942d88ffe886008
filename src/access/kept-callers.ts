import type { Clock } from '../clock.ts';
import type { IdentityProvider } from '../identity-provider.ts';
import type { ApiKeys } from './api-keys.ts';
import { keyIdOf } from './api-key.ts';
import { Caller, type Role } from './caller.ts';

/** What is stored of a caller with a token, since nobody else could tell it later. JSON. */
export interface KeptCaller {
  issuer: string;
  name: string;
  role: Role;
  connectionIds: number[] | null;
  baseIds: string[] | null;
  /** Milliseconds since the epoch. */
  expiresAt: number;
}

/**
 * Callers who began something that is finished without them, such as an OAuth flow. Of a key its number is enough: it is
 * looked up again. A token says what it said, until it ends.
 */
export class KeptCallers {
  readonly #keys: ApiKeys;
  readonly #issuer: string | null;
  readonly #clock: Clock;

  constructor(deps: { keys: ApiKeys; provider: IdentityProvider | null; clock: Clock }) {
    this.#keys = deps.keys;
    this.#issuer = deps.provider?.issuer ?? null;
    this.#clock = deps.clock;
  }

  /** What to store beside the caller's id; null for a key. */
  keep({ id, name, role, connectionIds, baseIds, expiresAt }: Caller): KeptCaller | null {
    if (keyIdOf(id) !== null || this.#issuer === null || !expiresAt) return null;
    return { issuer: this.#issuer, name, role, connectionIds, baseIds, expiresAt: expiresAt.getTime() };
  }

  /** @returns null when the key is gone, the token has expired, or its provider is no longer ours. */
  async recall(callerId: string, kept: KeptCaller | null): Promise<Caller | null> {
    if (kept === null) return this.#keys.find(callerId);
    if (kept.issuer !== this.#issuer || kept.expiresAt <= this.#clock.now()) return null;
    return new Caller({ ...kept, id: callerId, expiresAt: new Date(kept.expiresAt) });
  }
}
