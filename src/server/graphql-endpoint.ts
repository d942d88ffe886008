import { setMaxListeners } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Yoga } from '../graphql/yoga.ts';
import { AppError } from '../errors.ts';
import { discardRest, readBody } from './body.ts';
import { json, send } from './reply.ts';
import { sendAnswer } from './send-answer.ts';
import { isExplorerRequest, type ExplorerPage } from './explorer-page.ts';

export type GraphQLEndpoint = (
  request: IncomingMessage,
  url: URL,
  response: ServerResponse,
  requestId: string,
) => Promise<void>;

/** Longest body of a GraphQL request: a thousand records with long cells fit. */
const maxBodyBytes = 1_000_000;

/**
 * Carries a request into the GraphQL pipeline and its answer out. The body is read here, whole and bounded, and handed
 * over as text: letting the pipeline stream it costs a multiple.
 */
export function createGraphQLEndpoint(
  yoga: Yoga,
  explorer: ExplorerPage,
  origin: string,
  closing: AbortSignal,
): GraphQLEndpoint {
  return async function graphql(request, url, response, requestId) {
    if (isExplorerRequest(request)) {
      send(response, await explorer.reply(request));
      return;
    }
    const hasBody = request.method !== 'GET' && request.method !== 'HEAD';
    let body: string | undefined;
    try {
      if (hasBody) body = (await readBody(request, maxBodyBytes)).toString('utf8');
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const { code, message, details, httpStatus } = error;
      discardRest(request);
      send(
        response,
        json(httpStatus, { errors: [{ message, extensions: { code, ...details, requestId } }] }),
      );
      return;
    }
    const gone = new AbortController();
    // Every wait of the operation listens to it; Node takes more than ten for a leak.
    setMaxListeners(0, gone.signal);
    response.once('close', () => {
      if (!response.writableFinished) gone.abort();
    });
    const fetchRequest = new yoga.fetchAPI.Request(`${origin}${url.pathname}${url.search}`, {
      method: request.method ?? 'GET',
      headers: headersOf(request),
      ...(body === undefined ? {} : { body }),
    });
    // The signal reaches the operation by its context. As the request's own, it would cost another chain of promises.
    const answer = await yoga.handleRequest(fetchRequest, {
      requestId,
      signal: gone.signal,
      remoteAddress: request.socket.remoteAddress ?? '',
    });
    await sendAnswer(answer, request, response, closing);
  };
}

function headersOf(request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name in request.headers) {
    const value = request.headers[name];
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return headers;
}
