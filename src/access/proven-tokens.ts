import type { Caller } from './caller.ts';

/** Tokens remembered, and subjects; those that were used longest ago go first. */
const maxTokens = 1_000;
const maxSubjects = 1_000;

/** For how long a token is believed without checking its signature again, in milliseconds; never past its end. */
const believedMs = 60_000;

/** The tokens that opened the door last, by the hash of each, and whose they were. */
export class ProvenTokens {
  readonly #tokens = new Map<string, { caller: Caller; provenAt: number }>();
  readonly #subjects = new Set<string>();

  /** The caller, if the token was checked a moment ago and has not ended since. */
  recent(proof: string, now: number): Caller | null {
    const known = this.#tokens.get(proof);
    if (!known || performance.now() - known.provenAt > believedMs) return null;
    return known.caller.expiresAt && known.caller.expiresAt.getTime() > now ? known.caller : null;
  }

  /** Whether this caller was let in before. */
  knows(callerId: string): boolean {
    return this.#subjects.has(callerId);
  }

  remember(proof: string, caller: Caller): void {
    this.#tokens.delete(proof);
    this.#tokens.set(proof, { caller, provenAt: performance.now() });
    dropOldest(this.#tokens, maxTokens);
    this.#subjects.delete(caller.id);
    this.#subjects.add(caller.id);
    dropOldest(this.#subjects, maxSubjects);
  }
}

function dropOldest(kept: Map<string, unknown> | Set<string>, max: number): void {
  for (const oldest of kept.keys()) {
    if (kept.size <= max) return;
    kept.delete(oldest);
  }
}
