import type { Effect } from './upstream-call.ts';

/**
 * How an attempt failed, as far as it matters for sending again:
 * `limited` a 429, nothing took effect · `unsent` it never left · `lost` it left and no answer came ·
 * `unavailable` a 502, 503 or 504, which may have been answered behind the work · `final` everything else.
 */
export type FailureKind = 'limited' | 'unsent' | 'lost' | 'unavailable' | 'final';

/** Attempts of one call in all. The deadline ends most calls before. */
export const maxAttempts = 60;
/** Back-off: full jitter under a ceiling that doubles from the first to the second value; a dead upstream is spared by the lane. */
const firstCeilingMs = 200;
const lastCeilingMs = 1_000;
/** A longer `Retry-After` is cut to this. */
export const maxRetryAfterMs = 600_000;

/** Whether sending again can't do anything twice. */
export function isSafeToRepeat(kind: FailureKind, effect: Effect): boolean {
  if (kind === 'final') return false;
  if (kind === 'limited' || kind === 'unsent') return true;
  return effect !== 'once';
}

/**
 * Milliseconds to wait before the next attempt, or null when there must be none: not safe, tried too often, or the wait
 * would end beyond the deadline. A `limited` call does not wait here: its whole base rests, and the limiter lets it go.
 */
export function retryDelayMs(failed: {
  kind: FailureKind;
  effect: Effect;
  /** 1 after the first attempt. */
  attempts: number;
  retryAfterMs: number | null;
  /** Milliseconds that are left of the deadline. */
  leftMs: number;
  /** 0 up to 1, drawn anew for each decision. */
  random: number;
}): number | null {
  if (!isSafeToRepeat(failed.kind, failed.effect) || failed.attempts >= maxAttempts) return null;
  const ceilingMs = Math.min(lastCeilingMs, firstCeilingMs * 2 ** (failed.attempts - 1));
  const jitterMs = failed.kind === 'limited' ? 0 : failed.random * ceilingMs;
  const askedMs = failed.kind === 'limited' ? 0 : (failed.retryAfterMs ?? 0);
  const delayMs = askedMs + jitterMs;
  return delayMs < failed.leftMs ? delayMs : null;
}

/** `Retry-After` in either form, as milliseconds from `now`; null when absent or unreadable. */
export function parseRetryAfter(header: string | undefined, now: number): number | null {
  const text = header?.trim() ?? '';
  if (text === '') return null;
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now;
  return Number.isNaN(ms) ? null : Math.min(maxRetryAfterMs, Math.max(0, ms));
}
