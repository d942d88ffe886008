import type { IncomingMessage } from 'node:http';
import type { App } from '../app.ts';
import { AppError } from '../errors.ts';
import { bearer } from '../graphql/yoga.ts';
import type { Route } from './reply.ts';

/** Prometheus text for a scraper on the same machine, or for an admin. */
export function metrics(app: App): Route {
  return async (request) => {
    if (!isLoopback(request)) {
      const caller = await app.authentication.caller(
        bearer(request.headers.authorization),
        request.socket.remoteAddress ?? '',
      );
      if (!caller.may('admin'))
        throw new AppError('FORBIDDEN', 'Metrics are for admins, or for a scraper on the same machine.');
    }
    return {
      status: 200,
      headers: { 'Content-Type': app.metrics.contentType },
      body: await app.metrics.text(),
    };
  };
}

/** A proxy on this machine forwards for others, so whoever was forwarded is not local. */
function isLoopback(request: IncomingMessage): boolean {
  const address = request.socket.remoteAddress ?? '';
  return (
    /^(127\.|::1$|::ffff:127\.)/.test(address) &&
    request.headers['x-forwarded-for'] === undefined &&
    request.headers.forwarded === undefined
  );
}
