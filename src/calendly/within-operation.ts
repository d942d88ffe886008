import type { Clock } from '../clock.ts';
import { abortReason, deadlineExceeded } from './ended-early.ts';
import { maxTimerMs } from './lane.ts';
import type { Operation } from './operation.ts';

/**
 * Waits for work that others may wait for as well, no longer than this operation allows. The work itself goes on: a
 * refresh that was cut off half-way could cost the grant. Timer and signal are only set up for work that is still going on
 * when the event loop comes round: much of what is waited for is there by then, and a watch on it would cost more than it.
 * @throws AppError DEADLINE_EXCEEDED, the reason of the operation's abort, or what the work throws
 */
export function withinOperation<T>(
  work: Promise<T>,
  operation: Pick<Operation, 'deadline' | 'signal'>,
  clock: Clock,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let unwatch = (): void => clearImmediate(soon);
    const soon = setImmediate(() => {
      unwatch = watch(operation, clock, reject);
    });
    work.then(
      (value) => {
        unwatch();
        resolve(value);
      },
      (error: unknown) => {
        unwatch();
        reject(error instanceof Error ? error : new Error('It failed', { cause: error }));
      },
    );
  });
}

/** Tells once when the operation may wait no longer. @returns ends the watch */
function watch(
  { deadline, signal }: Pick<Operation, 'deadline' | 'signal'>,
  clock: Clock,
  onOver: (reason: Error) => void,
): () => void {
  const end = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  };
  const onAbort = (): void => {
    end();
    onOver(abortReason(signal));
  };
  const timer = setTimeout(
    () => {
      end();
      onOver(deadlineExceeded());
    },
    Math.min(Math.max(0, deadline - clock.now()), maxTimerMs),
  );
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();
  return end;
}
