import type { AttemptOutcome } from '../calendly/attempt.ts';
import type { ActivityKind } from './activity-kind.ts';

/** What an attempt to call the upstream counts as, by its outcome. What never left is no call. */
export const attemptKinds: Record<AttemptOutcome, readonly ActivityKind[]> = {
  ok: ['calls'],
  limited: ['calls', 'errors', 'rateLimited'],
  refused: ['calls', 'errors', 'refused'],
  rejected: ['calls', 'errors'],
  failed: ['calls', 'errors'],
  lost: ['calls', 'errors'],
  unsent: [],
  aborted: ['calls'],
};

/** What the renewal of a token pair counts as, by its outcome. */
export const refreshKinds: Record<'renewed' | 'failed' | 'race_lost', ActivityKind> = {
  renewed: 'refreshes',
  failed: 'refreshesFailed',
  race_lost: 'refreshRacesLost',
};
