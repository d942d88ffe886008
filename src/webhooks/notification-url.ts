import { reachOf } from './reach.ts';

/** Where we can be reached, and where the upstream is. */
export interface Addresses {
  /** An origin. */
  publicUrl: string;
  /** Whether somebody said so; else it was made of the address that we listen on, which says nothing of the world. */
  publicUrlIsChosen: boolean;
  apiUrl: string;
}

const path = '/webhooks/calendly/';

/**
 * Where the upstream shall ping us, or null when it could not reach us there: a server on somebody's laptop can listen
 * to the real service all the same, by pulling.
 */
export function notificationUrl(routeId: string, addresses: Addresses): string | null {
  const upstream = reachOf(addresses.apiUrl);
  if (!addresses.publicUrlIsChosen && upstream === 'everywhere') return null;
  const isReached =
    upstream === 'same machine' ||
    reachOf(addresses.publicUrl) === 'everywhere' ||
    (upstream === 'same network' && reachOf(addresses.publicUrl) === 'same network');
  return isReached ? notificationUrlPrefix(addresses.publicUrl) + routeId : null;
}

export function notificationUrlPrefix(publicUrl: string): string {
  return publicUrl + path;
}

/** The route id in a notification URL of ours, under whichever origin; null in any other. */
export function routeIdIn(url: string): string | null {
  return /\/webhooks\/calendly\/([0-9a-f-]{36})$/.exec(url)?.[1] ?? null;
}
