import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { readBody } from '../server/body.ts';
import { errorReply, type Route } from '../server/reply.ts';
import type { PingAnswer, PingOutcome, Pings } from './pings.ts';

/** A ping is some 150 bytes; what is much larger is none. */
const maxPingBytes = 10_000;

const macHeader = 'x-airtable-content-mac';

const outcomes: Record<PingAnswer, PingOutcome> = {
  204: 'accepted',
  401: 'forged',
  404: 'unknown',
  503: 'early',
};

/** `POST /webhooks/calendly/{id}`: answered with an empty body, as the upstream wants it. */
export function webhookRoutes(
  webhooks: { pings: Pings },
  logger: Logger,
  onPing: (outcome: PingOutcome) => void,
): Map<string, Route> {
  const ping: Route = async (request, url, requestId) => {
    const routeId = url.pathname.slice(url.pathname.lastIndexOf('/') + 1);
    let rawBody: Buffer;
    try {
      rawBody = await readBody(request, maxPingBytes);
    } catch (error) {
      onPing(error instanceof AppError && error.code === 'REQUEST_TOO_LARGE' ? 'oversized' : 'failed');
      throw error;
    }
    const header = request.headers[macHeader];
    try {
      const status = await webhooks.pings.receive(
        routeId,
        rawBody,
        typeof header === 'string' ? header : undefined,
      );
      if (status === 401) logger.warn({ webhook: routeId, requestId }, 'a forged ping was refused');
      onPing(outcomes[status]);
      return { status };
    } catch (error) {
      onPing('failed');
      if (error instanceof AppError)
        logger.error({ err: error, webhook: routeId, requestId }, 'a ping could not be checked');
      // The upstream tries again after anything but success.
      return { status: errorReply(error, requestId, logger).status };
    }
  };
  return new Map([['POST /webhooks/calendly/*', ping]]);
}
