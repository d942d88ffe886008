/**
 * What is counted of a connection, by hour:
 *
 *   calls               requests that left for the upstream, token calls not among them
 *   errors              of these, the ones that brought an error, lost answers among them
 *   rateLimited         answers with 429
 *   refused             answers with 401 or 403
 *   refreshes           token pairs that were renewed
 *   refreshesFailed     renewals that were refused or never answered
 *   refreshRacesLost    renewals whose answer found the row taken over by somebody else
 *   macFailures         notifications whose signature was wrong
 */
export const activityKinds = [
  'calls',
  'errors',
  'rateLimited',
  'refused',
  'refreshes',
  'refreshesFailed',
  'refreshRacesLost',
  'macFailures',
] as const;

export type ActivityKind = (typeof activityKinds)[number];

/** Counts one in the present hour. Costs nothing but memory; it is stored a few seconds later. */
export type CountActivity = (connectionId: number, kind: ActivityKind) => void;
