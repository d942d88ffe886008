import type { IncidentKind } from './activity-kind.ts';

/*
 * When an alert is raised. docs/activity.md gives the reasons for the numbers.
 *
 * A burst is `count` incidents within `windowMinutes`, whichever minute they begin in, on all instances together. Once it
 * is told, the connection's bursts of that kind are left alone for an hour.
 *
 * Calls are unusual once an hour has `callsAboveUsual.factor` times as many as the busiest hour of the days before, and
 * `callsAboveUsual.minCalls` at least. The hour's limit is settled when the first of its counts is stored, if the
 * connection is known for long enough. What has been told is usual from then on.
 */

/** One or two may be a base that was just taken out of the grant; this many are somebody who goes on in spite of it. */
export const refusedBurst = { count: 20, windowMinutes: 10 };
/** The address of a webhook can't be guessed, so each one is odd; this many are neither a slip nor a mangling proxy. */
export const forgedBurst = { count: 5, windowMinutes: 10 };
/** A connection renews its tokens about once an hour, and loses that race only when a process stood still for long. */
export const racesLostBurst = { count: 3, windowMinutes: 60 };

/** A restart of an endpoint takes a minute or two; this is one that stays away. Judged by whoever delivers to it. */
export const endpointFailing = { count: 20, windowMinutes: 10 };

export const callsAboveUsual = { factor: 3, minCalls: 1_000, usualDays: 14, historyDays: 7 };

/** A burst that goes on is told again this long after the last one that was told. */
export const quietMinutes = 60;

export type BurstKind = 'REFUSED_BURST' | 'MAC_FAILURES' | 'REFRESH_RACES_LOST';

export type AlertKind = BurstKind | 'CALLS_ABOVE_USUAL' | 'ENDPOINT_FAILING';

export const burstRules: { kind: BurstKind; incident: IncidentKind; count: number; windowMinutes: number }[] =
  [
    { kind: 'REFUSED_BURST', incident: 'refused', ...refusedBurst },
    { kind: 'MAC_FAILURES', incident: 'macFailures', ...forgedBurst },
    { kind: 'REFRESH_RACES_LOST', incident: 'refreshRacesLost', ...racesLostBurst },
  ];

/** What each means, and what to do about it. Shown to people, in answers and in the log. */
export const alertTexts: Record<AlertKind, { what: string; advice: string }> = {
  REFUSED_BURST: {
    what: 'many calls were refused with 401 or 403',
    advice:
      'Somebody keeps asking for what the grant does not reach, or the account lost access. Test the connection, compare its scopes and bases with what is asked for, and look for the caller in the log.',
  },
  MAC_FAILURES: {
    what: 'notifications came with a wrong signature',
    advice:
      'Somebody sends notifications who does not know the secret, or a proxy changes their bodies. Check the proxy; if it is innocent, delete the webhook and create it again, which gives it a new address and a new secret.',
  },
  REFRESH_RACES_LOST: {
    what: 'renewals of its tokens were overtaken by another process',
    advice:
      'A process stands still for seconds, or something outside of this server uses the same grant. Look for paused machines and starved processes; if there are none, rotate the tokens and check who else knows the client secret.',
  },
  ENDPOINT_FAILING: {
    what: 'deliveries of a trigger failed in a row',
    advice:
      'Its endpoint is down or refuses what it is told. Read the error of its deliveries and mend the endpoint; what waits is delivered then. After a day without a success the trigger is paused.',
  },
  CALLS_ABOVE_USUAL: {
    what: 'far more calls were sent than usual',
    advice:
      'A new job or a client in a loop, if not a stolen key. See which keys were used lately, and ask their owners; it is told once, and this many calls are usual from then on.',
  },
};
