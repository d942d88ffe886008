import type { Operation } from './operation.ts';
import type { AttemptFailed, RawAnswer } from './request.ts';

/**
 * What became of an attempt: `limited` 429 · `refused` 401 or 403 · `rejected` any other status that is no success ·
 * `failed` 5xx, or an answer too large to read · `lost` it left and no complete answer came · `unsent` it could not
 * leave · `aborted` it left, and the caller did not wait.
 */
export type AttemptOutcome =
  'ok' | 'limited' | 'refused' | 'rejected' | 'failed' | 'lost' | 'unsent' | 'aborted';

/** One attempt, told when it is over. Whatever could not leave for want of a permission is none. */
export interface Attempt {
  connectionId: number;
  /** The call's own name: "list records". */
  call: string;
  outcome: AttemptOutcome;
  priority: Operation['priority'];
  /** For the rate limit. */
  waitedMs: number;
  /** From connecting to the end of the answer. */
  durationMs: number;
}

export function outcomeOfAnswer({ status }: RawAnswer): AttemptOutcome {
  if (status < 300) return 'ok';
  if (status === 429) return 'limited';
  if (status === 401 || status === 403) return 'refused';
  return status >= 500 ? 'failed' : 'rejected';
}

/** @returns null for what never was an attempt */
export function outcomeOfSilence({ reason }: AttemptFailed, hasLeft: boolean): AttemptOutcome | null {
  switch (reason) {
    case 'stale':
      return null;
    case 'aborted':
      return hasLeft ? 'aborted' : null;
    case 'oversized':
      return 'failed';
    case 'lost':
    case 'unsent':
      return reason;
  }
}
