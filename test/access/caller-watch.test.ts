import { expect, test } from '@jest/globals';
import { setTimeout as wait } from 'node:timers/promises';
import { Caller } from '../../src/access/caller.ts';
import { CallerWatch } from '../../src/access/caller-watch.ts';
import type { KeyWatch } from '../../src/access/key-watch.ts';

const dayMs = 86_400_000;

test('a token that lives for longer than timers can wait is slept on, and costs no loop', async () => {
  let looks = 0;
  const now = () => {
    looks += 1;
    return Date.now();
  };
  const watch = new CallerWatch({ keys: { close: () => undefined } as KeyWatch, clock: { now } });
  const caller = new Caller({
    id: 'user:ada',
    name: 'Ada',
    role: 'viewer',
    connectionIds: null,
    baseIds: null,
    expiresAt: new Date(Date.now() + 60 * dayMs),
  });
  let ended = false;
  watch.watch(caller, () => (ended = true));
  // Long enough for a timer that fires at once to have fired many times.
  await wait(50);
  watch.close();
  expect({ ended, looks }).toEqual({ ended: false, looks: 1 });
});
