import type { Clock } from '../clock.ts';
import type { Settings } from '../control/settings.ts';

const WINDOW_MS = 1_000;
/** Bases watched at once; then the one that was quiet longest is forgotten. */
const MAX_BASES = 10_000;

interface BaseWindow {
  accepted: number[];
  penaltyUntil: number;
}

/**
 * So many calls a second for each base, all callers together, by a sliding window. One call too many starts the penalty:
 * until it ends every call of the base is refused. Refused calls neither fill the window nor lengthen the penalty.
 */
export class RateLimit {
  readonly #bases = new Map<string, BaseWindow>();

  constructor(
    private readonly clock: Clock,
    private readonly settings: Settings,
  ) {}

  /** Null if the call may pass; otherwise the milliseconds until calls succeed again. */
  admit(baseId: string): number | null {
    const { requestsPerSecond, penaltyMs } = this.settings.limits;
    if (requestsPerSecond === 0) {
      this.#bases.clear();
      return null;
    }
    const now = this.clock.now();
    const base = this.#window(baseId);
    if (now < base.penaltyUntil) return base.penaltyUntil - now;
    base.accepted = base.accepted.filter((time) => time > now - WINDOW_MS);
    if (base.accepted.length < requestsPerSecond) {
      base.accepted.push(now);
      return null;
    }
    base.penaltyUntil = now + penaltyMs;
    return penaltyMs;
  }

  reset(): void {
    this.#bases.clear();
  }

  /** Moves the base to the end of the map, so that its first entry is the one quiet longest. */
  #window(baseId: string): BaseWindow {
    const base = this.#bases.get(baseId) ?? { accepted: [], penaltyUntil: 0 };
    this.#bases.delete(baseId);
    this.#bases.set(baseId, base);
    if (this.#bases.size > MAX_BASES) {
      const oldest = this.#bases.keys().next();
      if (!oldest.done) this.#bases.delete(oldest.value);
    }
    return base;
  }
}
