import { isIP } from 'node:net';

/** From how far away a host can be reached. */
enum Reach {
  SameMachine,
  SameNetwork,
  Everywhere,
}

const path = '/webhooks/calendly/';

/**
 * Where the upstream shall ping us, or null when it could not reach us there: a server on somebody's laptop can listen
 * to the real service all the same, by pulling.
 */
export function notificationUrl(routeId: string, publicUrl: string, apiUrl: string): string | null {
  if (reachOf(publicUrl) < reachOf(apiUrl)) return null;
  return notificationUrlPrefix(publicUrl) + routeId;
}

export function notificationUrlPrefix(publicUrl: string): string {
  return publicUrl + path;
}

const loopback = /^(localhost|.+\.localhost|127(\.\d+){3}|::1|0\.0\.0\.0|::)$/;
const privateName = /^[^.]+$|\.(local|internal|lan|home\.arpa|test)$/;
const privateAddress =
  /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:)/;

function reachOf(url: string): Reach {
  const host = new URL(url).hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (loopback.test(host)) return Reach.SameMachine;
  const isPrivate = isIP(host) ? privateAddress.test(host) : privateName.test(host);
  return isPrivate ? Reach.SameNetwork : Reach.Everywhere;
}
