import type { ApiKey } from './api-key.ts';

/** Keys remembered; the ones that were used longest ago go first. */
const maxKeys = 1_000;

/**
 * For how long a key that was found is believed without looking again, in milliseconds. A key revoked on another
 * instance opens the door for no longer than this.
 */
const believedMs = 1_000;

/** The keys that opened the door last, by the hash of each. */
export class ProvenKeys {
  readonly #keys = new Map<string, { key: ApiKey; foundAt: number }>();
  #doubtedAt = Number.NEGATIVE_INFINITY;

  /** Whether this key opened the door before; it may have ended since. */
  has(proof: string): boolean {
    return this.#keys.has(proof);
  }

  /** The key, if it was found a moment ago and does not end by itself in between. */
  recent(proof: string): ApiKey | null {
    const known = this.#keys.get(proof);
    if (!known || performance.now() - known.foundAt > believedMs) return null;
    return known.key.expiresAt === null ? known.key : null;
  }

  /** @param askedAt When the lookup began: a key may have been revoked while it was under way. */
  remember(proof: string, key: ApiKey, askedAt: number): void {
    this.#keys.delete(proof);
    this.#keys.set(proof, { key, foundAt: askedAt > this.#doubtedAt ? askedAt : Number.NEGATIVE_INFINITY });
    if (this.#keys.size <= maxKeys) return;
    for (const oldest of this.#keys.keys()) {
      this.#keys.delete(oldest);
      return;
    }
  }

  forget(proof: string): void {
    this.#keys.delete(proof);
  }

  /** Looks every key up again, because one was revoked. They still count as having opened the door. */
  doubtAll(): void {
    this.#doubtedAt = performance.now();
    for (const known of this.#keys.values()) known.foundAt = Number.NEGATIVE_INFINITY;
  }
}
