import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { readBody } from '../server/body.ts';
import { errorReply, type Route } from '../server/reply.ts';
import type { Pings } from './pings.ts';

/** A ping is some 150 bytes; what is much larger is none. */
const maxPingBytes = 10_000;

const macHeader = 'x-airtable-content-mac';

/** `POST /webhooks/calendly/{id}`: answered with an empty body, as the upstream wants it. */
export function webhookRoutes(webhooks: { pings: Pings }, logger: Logger): Map<string, Route> {
  const ping: Route = async (request, url, requestId) => {
    const routeId = url.pathname.slice(url.pathname.lastIndexOf('/') + 1);
    const rawBody = await readBody(request, maxPingBytes);
    const header = request.headers[macHeader];
    try {
      const status = await webhooks.pings.receive(
        routeId,
        rawBody,
        typeof header === 'string' ? header : undefined,
      );
      if (status === 401) logger.warn({ webhook: routeId, requestId }, 'a forged ping was refused');
      return { status };
    } catch (error) {
      if (error instanceof AppError)
        logger.error({ err: error, webhook: routeId, requestId }, 'a ping could not be checked');
      // The upstream tries again after anything but success.
      return { status: errorReply(error, requestId, logger).status };
    }
  };
  return new Map([['POST /webhooks/calendly/*', ping]]);
}
