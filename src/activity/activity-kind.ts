/**
 * What is counted of a connection, by hour:
 *
 *   calls               requests that left for the upstream, token calls not among them
 *   errors              of these, the ones that brought an error, lost answers among them
 *   rateLimited         of these, the ones that were answered with 429
 *   refused             of these, the ones that were answered with 401 or 403
 *   refreshes           token pairs that were renewed
 *   refreshesFailed     renewals that were refused or never answered
 *   refreshRacesLost    renewals that found their lease or their generation taken over by another process
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

/** What ought not to happen at all, or seldom. It is counted by minute too, so that a burst is seen wherever an hour ends. */
export const incidentKinds = ['refused', 'refreshRacesLost', 'macFailures'] as const satisfies ActivityKind[];

export type IncidentKind = (typeof incidentKinds)[number];

/** Counts one now. Costs nothing but memory; it is stored a few seconds later. */
export type CountActivity = (connectionId: number, kind: ActivityKind) => void;

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
