import { expect, test } from '@jest/globals';
import { LeaseWatch } from '../../../src/automation/triggers/lease-watch.ts';

test('a lease is held as long as it is renewed in time, and not for sure any more when it was not', () => {
  let now = 0;
  const watch = new LeaseWatch(() => now);
  const taken = watch.moment;
  for (now = 4_000; now <= 40_000; now += 4_000) watch.renewed(now);
  expect(watch.surelyHolds(taken)).toBe(true);
  now = 49_999;
  expect(watch.surelyHolds(taken)).toBe(true);
  now = 50_000;
  expect(watch.surelyHolds(taken)).toBe(false);
});

test('one that may have run out while the process stood still is not held again by a later renewal', () => {
  let now = 0;
  const watch = new LeaseWatch(() => now);
  const before = watch.moment;
  now = 20_000;
  const meanwhile = watch.moment;
  watch.renewed(now);
  now = 21_000;
  expect(watch.surelyHolds(before)).toBe(false);
  expect(watch.surelyHolds(meanwhile)).toBe(true);
});
