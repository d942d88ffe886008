import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../access/caller.ts';
import type { App } from '../app.ts';
import { AppError } from '../errors.ts';
import { bearer, type ServerContext, type Yoga } from '../graphql/yoga.ts';
import { discardRest, readBody } from './body.ts';
import { Client } from './client.ts';
import type { DirectQueries } from './direct-query.ts';
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
 * Carries a request into the GraphQL pipeline and its answer out, or answers it the short way. The body is read here,
 * whole and bounded, and handed over as text: letting the pipeline stream it costs a multiple.
 */
export function createGraphQLEndpoint(
  app: App,
  yoga: Yoga,
  direct: DirectQueries | null,
  explorer: ExplorerPage,
  closing: AbortSignal,
): GraphQLEndpoint {
  const onStalled = (): void => app.metrics.slowSubscriberClosed();
  return async function graphql(request, url, response, requestId) {
    if (isExplorerRequest(request)) {
      response.setHeader('X-Request-Id', requestId);
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
      response.setHeader('X-Request-Id', requestId);
      send(
        response,
        json(httpStatus, { errors: [{ message, extensions: { code, ...details, requestId } }] }),
      );
      return;
    }
    const client = new Client(response);
    const context: ServerContext = {
      requestId,
      get signal() {
        return client.signal;
      },
      remoteAddress: request.socket.remoteAddress ?? '',
    };
    const contentType = direct?.contentType(request) ?? null;
    if (direct && contentType !== null && body !== undefined) {
      const caller = await callerOf(app, request, context);
      if (
        caller &&
        (await direct.answer(request, response, { body, contentType, caller, requestId, client }))
      )
        return;
    }
    response.setHeader('X-Request-Id', requestId);
    const fetchRequest = new yoga.fetchAPI.Request(`${app.config.publicUrl}${url.pathname}${url.search}`, {
      method: request.method ?? 'GET',
      headers: headersOf(request),
      ...(body === undefined ? {} : { body }),
    });
    // The signal reaches the operation by its context. As the request's own, it would cost another chain of promises.
    const answer = await yoga.handleRequest(fetchRequest, context);
    await sendAnswer(answer, request, response, { closing, clock: app.clock, onStalled });
  };
}

/** Tried once: the pipeline is told who it is, or why nobody is let in. */
async function callerOf(app: App, request: IncomingMessage, context: ServerContext): Promise<Caller | null> {
  try {
    context.caller = await app.authentication.caller(
      bearer(request.headers.authorization),
      context.remoteAddress,
    );
    return context.caller;
  } catch (error) {
    context.refusal = error instanceof Error ? error : new Error('Authentication failed', { cause: error });
    return null;
  }
}

function headersOf(request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name in request.headers) {
    const value = request.headers[name];
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return headers;
}
