import { setImmediate as macrotask } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { PendingWork } from '../../src/bases/pending-work.ts';

/** Long enough for everything that is due to have run. */
async function settle() {
  for (let turn = 0; turn < 5; turn += 1) await macrotask();
}

test('a batch leaves when nothing that could add to it is pending, and not before', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ level: fc.integer({ min: 1, max: 3 }), prepares: fc.boolean() }), {
        maxLength: 8,
      }),
      fc.integer({ min: 1, max: 3 }),
      async (works, level) => {
        const pending = new PendingWork();
        let started = false;
        const ends = works.map((work) => {
          let end!: () => void;
          const promise = new Promise<void>((resolve) => (end = resolve));
          void (work.prepares
            ? pending.preparing(work.level, promise)
            : pending.reading(work.level, promise));
          return { blocks: work.prepares ? work.level <= level : work.level < level, end };
        });
        pending.whenReadyToRead(level, () => (started = true));
        expect(started).toBe(false);
        for (let left = ends.filter(({ blocks }) => blocks).length; ; left -= 1) {
          await settle();
          expect(started).toBe(left === 0);
          if (left === 0) return;
          const next = ends.findIndex(({ blocks }) => blocks);
          ends.splice(next, 1)[0]!.end();
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('work that begins while the last one ends is waited for', async () => {
  const pending = new PendingWork();
  const steps: string[] = [];
  let end!: () => void;
  const first = pending.preparing(1, new Promise<void>((resolve) => (end = resolve)));
  void first.then(async () => {
    await Promise.resolve();
    void pending.preparing(
      1,
      macrotask().then(() => void steps.push('second ended')),
    );
  });
  pending.whenReadyToRead(1, () => steps.push('left'));
  end();
  await settle();
  expect(steps).toEqual(['second ended', 'left']);
});

test('work that fails no longer holds anyone up', async () => {
  const pending = new PendingWork();
  let left = false;
  await expect(pending.preparing(1, Promise.reject(new Error('no')))).rejects.toThrow('no');
  pending.whenReadyToRead(1, () => (left = true));
  await settle();
  expect(left).toBe(true);
});
