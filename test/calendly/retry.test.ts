import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  isSafeToRepeat,
  maxAttempts,
  maxRetryAfterMs,
  parseRetryAfter,
  retryDelayMs,
} from '../../src/calendly/retry.ts';

const kinds = fc.constantFrom('limited', 'unsent', 'lost', 'unavailable', 'final');
const effects = fc.constantFrom('read', 'repeatable', 'once');
const situations = fc.record({
  kind: kinds,
  effect: effects,
  attempts: fc.integer({ min: 1, max: maxAttempts + 5 }),
  retryAfterMs: fc.option(fc.integer({ min: 0, max: maxRetryAfterMs }), { nil: null }),
  leftMs: fc.integer({ min: -1_000, max: 300_000 }),
  random: fc.double({ min: 0, max: 0.999, noNaN: true }),
});

describe('retry timing', () => {
  test.each([
    ['limited', 'once', true],
    ['unsent', 'once', true],
    ['lost', 'once', false],
    ['unavailable', 'once', false],
    ['lost', 'repeatable', true],
    ['unavailable', 'read', true],
    ['final', 'read', false],
  ] as const)('a call that was %s and takes effect %s may be sent again: %s', (kind, effect, safe) => {
    expect(isSafeToRepeat(kind, effect)).toBe(safe);
  });

  test('no wait ever ends beyond the deadline or is negative', () => {
    fc.assert(
      fc.property(situations, (situation) => {
        const delayMs = retryDelayMs(situation);
        if (delayMs === null) return;
        expect(delayMs).toBeGreaterThanOrEqual(0);
        expect(delayMs).toBeLessThan(situation.leftMs);
      }),
    );
  });

  test('what could do something twice is never sent again, whatever else holds', () => {
    fc.assert(
      fc.property(situations, (situation) => {
        const again = retryDelayMs(situation) !== null;
        if (again) expect(isSafeToRepeat(situation.kind, situation.effect)).toBe(true);
        if (situation.attempts >= maxAttempts) expect(again).toBe(false);
      }),
    );
  });

  test('a lost or unavailable answer waits at least as long as the upstream asked', () => {
    fc.assert(
      fc.property(situations, (situation) => {
        const delayMs = retryDelayMs(situation);
        if (delayMs === null || situation.kind === 'limited') return;
        expect(delayMs).toBeGreaterThanOrEqual(situation.retryAfterMs ?? 0);
      }),
    );
  });

  test.each([
    [1, 100],
    [2, 200],
    [3, 400],
    [4, 500],
    [59, 500],
  ])('after attempt %i, half of the full jitter is %i ms', (attempts, delayMs) => {
    const failed = { kind: 'lost', effect: 'read', retryAfterMs: null, leftMs: 60_000, random: 0.5 } as const;
    expect(retryDelayMs({ ...failed, attempts })).toBe(delayMs);
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-01-02T03:04:05.000Z');
  test.each([
    ['30', 30_000],
    [' 1.5 ', 1_500],
    ['0', 0],
    ['Fri, 02 Jan 2026 03:04:15 GMT', 10_000],
    ['Fri, 02 Jan 2026 03:04:00 GMT', 0],
    ['86400', maxRetryAfterMs],
    ['soon', null],
    ['', null],
    [undefined, null],
  ])('%j means %j ms', (header, ms) => {
    expect(parseRetryAfter(header, now)).toBe(ms);
  });
});
