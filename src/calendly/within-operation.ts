import type { Clock } from '../clock.ts';
import { abortReason, deadlineExceeded, maxTimerMs } from './lane.ts';
import type { Operation } from './operation.ts';

/**
 * Waits for work that others may wait for as well, no longer than this operation allows. The work itself goes on: a
 * refresh that was cut off half-way could cost the grant.
 * @throws AppError DEADLINE_EXCEEDED, the reason of the operation's abort, or what the work throws
 */
export function withinOperation<T>(
  work: Promise<T>,
  { deadline, signal }: Pick<Operation, 'deadline' | 'signal'>,
  clock: Clock,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => end(() => reject(abortReason(signal)));
    const timer = setTimeout(
      () => end(() => reject(deadlineExceeded())),
      Math.min(Math.max(0, deadline - clock.now()), maxTimerMs),
    );
    const end = (tell: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      tell();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    work.then(
      (value) => end(() => resolve(value)),
      (error: unknown) =>
        end(() => reject(error instanceof Error ? error : new Error('It failed', { cause: error }))),
    );
    if (signal?.aborted) onAbort();
  });
}
