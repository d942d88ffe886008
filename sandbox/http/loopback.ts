import type { IncomingMessage } from 'node:http';
import { ApiError } from '../api-error.ts';

const LOOPBACK_ADDRESS = /^(?:127\.|::1$|::ffff:127\.)/;
const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i;

/**
 * Throws 403 unless the caller is on this machine and named it by a loopback name; the second keeps a web page from
 * reading secrets through a host name of its own that points here, and the origin check from posting across origins.
 */
export function refuseStrangers(request: IncomingMessage): void {
  const host = request.headers.host ?? '';
  const { origin } = request.headers;
  const fromHere = LOOPBACK_ADDRESS.test(request.socket.remoteAddress ?? '') && LOOPBACK_HOST.test(host);
  if (fromHere && (origin === undefined || origin === `http://${host}`)) return;
  throw new ApiError(
    403,
    'LOOPBACK_ONLY',
    'This page and /_control answer only to callers on the same machine',
  );
}
