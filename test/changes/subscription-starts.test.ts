import { expect, it } from '@jest/globals';
import { CallMeter, type Operation } from '../../src/calendly/operation.ts';
import { SubscriptionStarts } from '../../src/changes/subscription-starts.ts';

const clock = { now: () => 0 };
const operation = (signal?: AbortSignal): Operation => ({
  callerId: 'test',
  priority: 'person',
  deadline: 60_000,
  meter: new CallMeter(),
  ...(signal && { signal }),
});

it('lets subscriptions begin a few at a time, in their order, and refuses those that come when thousands wait', async () => {
  const starts = new SubscriptionStarts({ clock });
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const begun: number[] = [];
  let [beginning, most] = [0, 0];
  const run = (index: number, signal?: AbortSignal): Promise<void> =>
    // Of eleven bases, so that none of them alone is what is waited for.
    starts.run(`app${index % 11}`, operation(signal), async () => {
      begun.push(index);
      most = Math.max(most, (beginning += 1));
      await held;
      beginning -= 1;
    });
  const leaving = new AbortController();
  const all = Array.from({ length: 5_199 }, (_, index) => run(index));
  const left = run(5_199, leaving.signal);
  await expect(run(5_200)).rejects.toMatchObject({
    code: 'SUBSCRIPTION_LIMIT',
    details: { retryAfterMs: 5_000 },
  });
  // Who leaves makes room for another.
  leaving.abort();
  await expect(left).rejects.toThrow();
  all.push(run(5_201));
  release();
  await Promise.all(all);
  expect(most).toBe(200);
  expect(begun).toEqual([...Array(5_199).keys(), 5_201]);
  await run(6_000);
});

it('lets those of a base begin while another base keeps all that is given to it', async () => {
  const starts = new SubscriptionStarts({ clock });
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const begun: string[] = [];
  const run = (baseId: string, wait?: Promise<void>): Promise<void> =>
    starts.run(baseId, operation(), async () => {
      begun.push(baseId);
      await wait;
    });
  const slow = Array.from({ length: 250 }, () => run('appSlow', held));
  // More than may begin at a time, so some of them come after others of theirs.
  await Promise.all(Array.from({ length: 300 }, () => run('appOther')));
  expect(begun.filter((baseId) => baseId === 'appSlow')).toHaveLength(20);
  release();
  await Promise.all(slow);
  expect(begun).toHaveLength(550);
});
